//! Topics, records and offsets, as a test wants to put and see them.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use tokio::{task::spawn_blocking, time::Instant};

use super::{Kafka, PATIENCE};
use crate::eventually;

/// How long one request to the broker may take.
const REQUEST: Duration = Duration::from_secs(10);

/// The group of consumers that never join one.
pub(super) const READER: &str = "mcp-testkit-reader";

/// A record to be produced.
#[derive(Clone, Debug, Default)]
pub struct NewRecord {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    partition: Option<i32>,
}

impl NewRecord {
    /// With this value, and neither key nor headers.
    pub fn value(value: impl AsRef<[u8]>) -> NewRecord {
        NewRecord {
            value: Some(value.as_ref().to_vec()),
            ..NewRecord::default()
        }
    }

    /// A tombstone: its value is null, which is not the same as empty.
    pub fn null() -> NewRecord {
        NewRecord::default()
    }

    /// Sets the key.
    pub fn key(mut self, key: impl AsRef<[u8]>) -> NewRecord {
        self.key = Some(key.as_ref().to_vec());
        self
    }

    /// Adds a header; a name may come more than once.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> NewRecord {
        self.headers
            .push((name.to_owned(), Some(value.as_ref().to_vec())));
        self
    }

    /// Adds a header whose value is null.
    pub fn null_header(mut self, name: &str) -> NewRecord {
        self.headers.push((name.to_owned(), None));
        self
    }

    /// Chooses the partition; by default the key does.
    pub fn partition(mut self, partition: i32) -> NewRecord {
        self.partition = Some(partition);
        self
    }
}

/// A record as it lies in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Its key, byte for byte.
    pub key: Option<Vec<u8>>,
    /// Its value, byte for byte.
    pub value: Option<Vec<u8>>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// The value of the last header with this name, as text; `None` without one.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().rfind(|(found, _)| found == name)?;
        value.as_deref().map(text)
    }

    /// The key as text.
    pub fn key_text(&self) -> Option<String> {
        self.key.as_deref().map(text)
    }

    /// The value as text; a null one is empty.
    pub fn text(&self) -> String {
        text(self.value.as_deref().unwrap_or_default())
    }

    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.value.as_deref().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error} in the value {:?}", self.text()))
    }

    pub(super) fn of(message: &impl Message) -> Record {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect()
        });
        Record {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or_default(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Kafka {
    /// Creates a topic whose name begins with `prefix` and is no other test's, and returns its name.
    pub async fn new_topic(
        &self,
        prefix: &str,
        partitions: i32,
        config: &[(&str, &str)],
    ) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.create_topic(&name, partitions, config).await;
        name
    }

    /// Creates a topic, and waits until its partitions have leaders.
    pub async fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        make_topic(&self.admin(), name, partitions, 1, config).await;
        eventually(PATIENCE, async || match self.partitions(name).await {
            Ok(ready) if ready.len() == partitions as usize => Ok(()),
            Ok(ready) => Err(format!("{name} has the partitions {ready:?}")),
            Err(error) => Err(error.to_string()),
        })
        .await;
    }

    /// Deletes a topic.
    pub async fn delete_topic(&self, name: &str) {
        let results = self
            .admin()
            .delete_topics(
                &[name],
                &AdminOptions::new().operation_timeout(Some(REQUEST)),
            )
            .await
            .unwrap_or_else(|error| panic!("deleting the topic {name}: {error}"));
        for result in results {
            result.unwrap_or_else(|(name, code)| panic!("deleting the topic {name}: {code}"));
        }
    }

    /// Produces a record, and returns its partition and offset once the broker has acknowledged it.
    pub async fn send(&self, topic: &str, record: NewRecord) -> (i32, i64) {
        self.try_send(topic, record)
            .await
            .unwrap_or_else(|error| panic!("producing to {topic}: {error}"))
    }

    /// As [`Kafka::send`], for a broker that may refuse.
    pub async fn try_send(&self, topic: &str, record: NewRecord) -> Result<(i32, i64), KafkaError> {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &record.headers {
            headers = headers.insert(Header {
                key,
                value: value.as_deref(),
            });
        }
        let mut message = FutureRecord::<[u8], [u8]>::to(topic).headers(headers);
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.partition = record.partition;
        match self.producer().send(message, PATIENCE).await {
            Ok(delivery) => Ok((delivery.partition, delivery.offset)),
            Err((error, _)) => Err(error),
        }
    }

    /// Produces text with a key.
    pub async fn produce(&self, topic: &str, key: &str, value: &str) -> (i32, i64) {
        self.send(topic, NewRecord::value(value).key(key)).await
    }

    /// All records that the topic holds now, ordered by partition and offset.
    pub async fn read_all(&self, topic: &str) -> Vec<Record> {
        self.read(topic, None, Instant::now() + PATIENCE).await
    }

    /// The topic's records once there are at least `count`, ordered by partition and offset.
    ///
    /// # Panics
    ///
    /// When `within` passes before that, with the records there are.
    pub async fn read_until(&self, topic: &str, count: usize, within: Duration) -> Vec<Record> {
        let records = self.read(topic, Some(count), Instant::now() + within).await;
        assert!(
            records.len() >= count,
            "{topic} holds {} records instead of {count} after {within:?}: {:#?}",
            records.len(),
            records.iter().map(Record::text).collect::<Vec<_>>()
        );
        records
    }

    /// Reads from the beginning: up to the ends of the partitions, or until there are `wanted` records.
    async fn read(&self, topic: &str, wanted: Option<usize>, deadline: Instant) -> Vec<Record> {
        let partitions = eventually(PATIENCE, async || self.partitions(topic).await).await;
        let topic = topic.to_owned();
        let consumer = self.consumer(READER);
        blocking(move || {
            let mut from = TopicPartitionList::new();
            for partition in &partitions {
                from.add_partition_offset(&topic, *partition, Offset::Beginning)
                    .expect("an offset that can be assigned");
            }
            consumer.assign(&from).expect("partitions can be assigned");
            let mut at_end = HashMap::new();
            let mut records = Vec::new();
            while Instant::now() < deadline {
                match consumer.poll(Duration::from_millis(100)) {
                    Some(Ok(message)) => {
                        at_end.remove(&message.partition());
                        records.push(Record::of(&message));
                    }
                    Some(Err(KafkaError::PartitionEOF(partition))) => {
                        at_end.insert(partition, ());
                    }
                    // The broker may be down for a while: the deadline decides.
                    Some(Err(_)) | None => {}
                }
                let complete = at_end.len() == partitions.len();
                if complete && wanted.is_none_or(|wanted| records.len() >= wanted) {
                    break;
                }
            }
            records.sort_by_key(|record| (record.partition, record.offset));
            records
        })
        .await
    }

    /// What `group` has committed for each partition of `topic`, without joining the group.
    pub async fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let committed = self.commits(group, topic).await;
        committed.into_iter().map(|(offset, _)| offset).collect()
    }

    /// The text that `group` has committed beside the offset of each partition of `topic`.
    pub async fn committed_metadata(&self, group: &str, topic: &str) -> Vec<String> {
        let committed = self.commits(group, topic).await;
        committed.into_iter().map(|(_, text)| text).collect()
    }

    async fn commits(&self, group: &str, topic: &str) -> Vec<(Option<i64>, String)> {
        self.ask(topic, group, |consumer, topic, partitions| {
            let mut of = TopicPartitionList::new();
            for partition in partitions {
                of.add_partition(topic, *partition);
            }
            // The list is gone before the consumer: the other way round hangs for ever.
            let committed = consumer.committed_offsets(of, REQUEST)?;
            let known = |offset: Option<i64>| offset.filter(|offset| *offset >= 0);
            let mut all: Vec<_> = committed
                .elements()
                .iter()
                .map(|element| {
                    let commit = (
                        known(element.offset().to_raw()),
                        element.metadata().to_owned(),
                    );
                    (element.partition(), commit)
                })
                .collect();
            drop(committed);
            all.sort_unstable();
            Ok(all.into_iter().map(|(_, commit)| commit).collect())
        })
        .await
    }

    /// Waits until `group` has committed these offsets for the partitions of `topic`.
    pub async fn wait_committed(
        &self,
        group: &str,
        topic: &str,
        wanted: &[Option<i64>],
        within: Duration,
    ) {
        eventually(within, async || {
            let committed = self.committed(group, topic).await;
            if committed == wanted {
                Ok(())
            } else {
                Err(format!(
                    "{group} has committed {committed:?} of {topic}, not {wanted:?}"
                ))
            }
        })
        .await;
    }

    /// The offset that the next record of each partition will get.
    pub async fn end_offsets(&self, topic: &str) -> Vec<i64> {
        self.ask(topic, READER, |consumer, topic, partitions| {
            partitions
                .iter()
                .map(|partition| {
                    let (_, end) = consumer.fetch_watermarks(topic, *partition, REQUEST)?;
                    Ok(end)
                })
                .collect()
        })
        .await
    }

    /// Puts a question about a topic's partitions, again if need be: a broker that has just started may not know yet.
    async fn ask<T: Send + 'static>(
        &self,
        topic: &str,
        group: &str,
        question: impl Fn(&BaseConsumer, &str, &[i32]) -> KafkaResult<T> + Clone + Send + 'static,
    ) -> T {
        eventually(PATIENCE, async || {
            let partitions = self.partitions(topic).await?;
            let topic = topic.to_owned();
            let consumer = self.consumer(group);
            let question = question.clone();
            blocking(move || question(&consumer, &topic, &partitions))
                .await
                .map_err(|error| error.to_string())
        })
        .await
    }

    /// The partitions of a topic that have a leader, in order; at least one.
    async fn partitions(&self, topic: &str) -> Result<Vec<i32>, String> {
        let topic = topic.to_owned();
        let consumer = self.consumer(READER);
        blocking(move || {
            let metadata = consumer
                .fetch_metadata(Some(&topic), REQUEST)
                .map_err(|error| error.to_string())?;
            let mut ready: Vec<i32> = metadata
                .topics()
                .iter()
                .flat_map(|topic| topic.partitions())
                .filter(|partition| partition.leader() >= 0)
                .map(|partition| partition.id())
                .collect();
            ready.sort_unstable();
            if ready.is_empty() {
                return Err(format!("there is no topic {topic}"));
            }
            Ok(ready)
        })
        .await
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client")
    }

    fn producer(&self) -> &FutureProducer {
        self.producer.get_or_init(|| {
            self.config()
                // The broker's limits are what a test is about, never the client's.
                .set("message.max.bytes", "100000000")
                .set("linger.ms", "0")
                .create()
                .expect("a producer")
        })
    }

    fn consumer(&self, group: &str) -> BaseConsumer {
        self.config()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.message.max.bytes", "100000000")
            .create()
            .expect("a consumer")
    }
}

/// librdkafka's synchronous calls, off the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Asks for a topic.
///
/// # Panics
///
/// When it can't be made.
pub(super) async fn make_topic(
    admin: &AdminClient<DefaultClientContext>,
    name: &str,
    partitions: i32,
    replication: i32,
    config: &[(&str, &str)],
) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replication));
    for (name, value) in config {
        topic = topic.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(REQUEST));
    let results = admin
        .create_topics([&topic], &options)
        .await
        .unwrap_or_else(|error| panic!("creating the topic {name}: {error}"));
    for result in results {
        result.unwrap_or_else(|(name, code)| panic!("creating the topic {name}: {code}"));
    }
}
