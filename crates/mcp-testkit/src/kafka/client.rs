//! A cluster's client for long runs: connections that are kept, and answers that may be errors.

mod feed;
mod watch;

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use tokio::task::spawn_blocking;

use super::{PATIENCE, records};
use crate::eventually;

pub use feed::{Feed, Line, Transactions};
pub use watch::{GroupWatch, OffsetWatch, Tail};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// Topics, offsets and groups of a cluster. What it makes keeps its connections.
#[derive(Clone, Debug)]
pub struct KafkaClient {
    bootstrap: String,
}

impl KafkaClient {
    /// A client of these brokers, `host:port` with commas.
    pub fn new(bootstrap: impl Into<String>) -> KafkaClient {
        KafkaClient {
            bootstrap: bootstrap.into(),
        }
    }

    /// Creates a topic, and waits until all of its partitions have leaders.
    ///
    /// # Panics
    ///
    /// When that can't be done.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replication: i32,
        config: &[(&str, &str)],
    ) {
        records::make_topic(&self.admin(), name, partitions, replication, config).await;
        let watch = self.offsets(records::READER, name, partitions);
        eventually(PATIENCE, async || watch.ends().await.map(drop)).await;
    }

    /// Replaces the topic's own configuration by this one.
    ///
    /// # Errors
    ///
    /// The broker's, as text.
    pub async fn configure_topic(&self, name: &str, config: &[(&str, &str)]) -> Result<(), String> {
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(name));
        for (name, value) in config {
            change = change.set(name, value);
        }
        let results = self
            .admin()
            .alter_configs(
                [&change],
                &AdminOptions::new().request_timeout(Some(REQUEST)),
            )
            .await
            .map_err(|error| error.to_string())?;
        results
            .into_iter()
            .try_for_each(|result| result.map(drop).map_err(|(_, code)| code.to_string()))
    }

    /// The client ids of the members of a group of the classic protocol.
    ///
    /// # Errors
    ///
    /// The broker's, as text.
    pub async fn group_members(&self, group: &str) -> Result<Vec<String>, String> {
        let consumer = self.consumer(records::READER);
        let group = group.to_owned();
        let members = spawn_blocking(move || {
            let found = consumer.fetch_group_list(Some(&group), REQUEST)?;
            let members = found.groups().iter().flat_map(|group| group.members());
            Ok(members
                .map(|member| member.client_id().to_owned())
                .collect())
        });
        finished(members.await).map_err(|error: rdkafka::error::KafkaError| error.to_string())
    }

    /// Looks at what state a group of the classic protocol is in.
    pub fn group(&self, name: &str) -> GroupWatch {
        GroupWatch::new(self.consumer(records::READER), name)
    }

    /// Looks at what `group` has committed of a topic and where its partitions end.
    pub fn offsets(&self, group: &str, topic: &str, partitions: i32) -> OffsetWatch {
        OffsetWatch::new(self.consumer(group), topic, partitions)
    }

    /// Reads a topic from its beginning, record by record, as it grows.
    pub fn tail(&self, topic: &str, partitions: i32) -> Tail {
        Tail::new(self.consumer(records::READER), topic, partitions)
    }

    /// Produces records, each one exactly once.
    pub fn feed(&self) -> Feed {
        Feed::new(&self.config())
    }

    /// Produces records in transactions.
    pub fn transactions(&self, id: &str) -> Transactions {
        Transactions::new(&self.config(), id)
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            // A broker that was killed is there again soon.
            .set("reconnect.backoff.max.ms", "500");
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client")
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        self.config()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .create()
            .expect("a consumer")
    }
}

/// The value of a task, whose panic goes on here.
fn finished<T>(joined: Result<T, tokio::task::JoinError>) -> T {
    joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
