//! Topics from the side of people and tools: submit a job, read a topic, ask for committed offsets. No consumer group
//! is joined.

use std::time::Duration;

use anyhow::Context as _;
use mcp_core::JobEnvelope;
use mcp_runtime::trace_context;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::kafka::{self, Connection, creation_error};
use crate::spans;

const CLIENT_ID: &str = "mcp-hybrid";
const REQUEST: Duration = Duration::from_secs(10);

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// A record that was read.
#[derive(Clone, Debug)]
pub struct TopicRecord {
    /// Where it stands.
    pub position: Position,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl TopicRecord {
    /// The last header of that name, if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rfind(|(key, _)| key == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

/// Puts jobs on a topic.
pub struct JobProducer {
    producer: FutureProducer,
}

impl JobProducer {
    /// Makes the producer; it connects when it first writes.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(connection: &Connection) -> anyhow::Result<Self> {
        let defaults = [
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("message.timeout.ms", "15000"),
            ("message.max.bytes", "1000000000"),
        ];
        let producer = connection
            .client_config(CLIENT_ID, &defaults)
            .create()
            .map_err(|error| creation_error(&error))?;
        Ok(Self { producer })
    }

    /// Submits a job; `key` is the ordering key, without one the `jobID` is. Returns once it is acknowledged.
    ///
    /// # Errors
    /// What the broker says.
    pub async fn submit(
        &self,
        topic: &str,
        key: Option<&str>,
        job: &JobEnvelope,
    ) -> anyhow::Result<Position> {
        let value = serde_json::to_vec(job)?;
        self.produce(topic, key.unwrap_or(&job.job_id), &value)
            .await
    }

    /// Puts any bytes on the topic, poison too.
    ///
    /// # Errors
    /// What the broker says.
    pub async fn produce(&self, topic: &str, key: &str, value: &[u8]) -> anyhow::Result<Position> {
        let span = spans::send(topic, Some(key.as_bytes()), None, CLIENT_ID);
        let headers = trace_context::outgoing(&span, |_| None).iter().fold(
            OwnedHeaders::new(),
            |headers, (name, value)| {
                headers.insert(Header {
                    key: name,
                    value: Some(value),
                })
            },
        );
        let record = FutureRecord::to(topic)
            .key(key)
            .payload(value)
            .headers(headers);
        match self.producer.send(record, Timeout::After(REQUEST)).await {
            Ok(delivery) => {
                spans::sent(&span, delivery.partition, delivery.offset);
                Ok(Position {
                    partition: delivery.partition,
                    offset: delivery.offset,
                })
            }
            Err((error, _)) => {
                spans::failed(&span, &kafka::error_type(&error));
                Err(error).with_context(|| format!("topic {topic} can't be written"))
            }
        }
    }
}

/// Reads topics and offsets without being a member of a group. Its calls block.
pub struct TopicReader {
    consumer: BaseConsumer,
    topic: String,
}

impl TopicReader {
    /// A reader of all partitions of `topic`, from its beginning or, with `from_end`, from its present end.
    ///
    /// # Errors
    /// The topic does not exist, or no broker answers.
    pub fn new(connection: &Connection, topic: &str, from_end: bool) -> anyhow::Result<Self> {
        let consumer = reader(connection, "mcp-hybrid-reader")?;
        let mut positions = TopicPartitionList::new();
        for partition in partitions(&consumer, topic)? {
            let offset = if from_end {
                let (_, end) = consumer
                    .fetch_watermarks(topic, partition, REQUEST)
                    .with_context(|| format!("topic {topic}"))?;
                Offset::Offset(end)
            } else {
                Offset::Beginning
            };
            positions.add_partition_offset(topic, partition, offset)?;
        }
        consumer.assign(&positions)?;
        Ok(Self {
            consumer,
            topic: topic.to_owned(),
        })
    }

    /// The next record, or none within `wait`.
    ///
    /// # Errors
    /// What the broker says.
    pub fn next(&self, wait: Duration) -> anyhow::Result<Option<TopicRecord>> {
        let Some(record) = self.consumer.poll(wait) else {
            return Ok(None);
        };
        let record = record.with_context(|| format!("topic {}", self.topic))?;
        let headers = record
            .headers()
            .into_iter()
            .flat_map(|headers| headers.iter());
        Ok(Some(TopicRecord {
            position: Position {
                partition: record.partition(),
                offset: record.offset(),
            },
            key: record.key().map(<[u8]>::to_vec),
            value: record.payload().map(<[u8]>::to_vec),
            headers: headers
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        }))
    }
}

/// Makes topics that do not exist yet, with that many partitions and the broker's default replication. Needs a broker
/// with admin calls, so not the embedded one.
///
/// # Errors
/// What the broker says, other than that a topic exists.
pub async fn create_topics(
    connection: &Connection,
    names: &[&str],
    partitions: i32,
) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = connection
        .client_config("mcp-hybrid", &[])
        .create()
        .map_err(|error| creation_error(&error))?;
    let topics: Vec<_> = names
        .iter()
        .map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(-1)))
        .collect();
    let options = AdminOptions::new()
        .operation_timeout(Some(REQUEST))
        .request_timeout(Some(REQUEST));
    for result in admin
        .create_topics(&topics, &options)
        .await
        .context("no broker made the topics")?
    {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => anyhow::bail!("topic {topic} was not made: {code}"),
        }
    }
    Ok(())
}

/// One partition's place in a group: committed offset and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The partition.
    pub partition: i32,
    /// The committed offset; none before the first commit.
    pub committed: Option<i64>,
    /// The offset that the next record will have.
    pub end: i64,
}

/// Where `group` stands on `topic`, by partition. Blocks.
///
/// # Errors
/// The topic does not exist, or no broker answers.
pub fn committed(
    connection: &Connection,
    group: &str,
    topic: &str,
) -> anyhow::Result<Vec<Committed>> {
    let consumer = reader(connection, group)?;
    let mut wanted = TopicPartitionList::new();
    for partition in partitions(&consumer, topic)? {
        wanted.add_partition(topic, partition);
    }
    let offsets = consumer.committed_offsets(wanted, REQUEST)?;
    let offsets: Vec<_> = offsets
        .elements()
        .iter()
        .map(|element| (element.partition(), element.offset().to_raw()))
        .collect();
    let mut standing = Vec::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        let (_, end) = consumer.fetch_watermarks(topic, partition, REQUEST)?;
        standing.push(Committed {
            partition,
            committed: offset.filter(|offset| *offset >= 0),
            end,
        });
    }
    standing.sort_by_key(|committed| committed.partition);
    Ok(standing)
}

/// A consumer that never subscribes, so it never joins `group`.
fn reader(connection: &Connection, group: &str) -> anyhow::Result<BaseConsumer> {
    let defaults = [
        ("group.id", group),
        ("enable.auto.commit", "false"),
        ("isolation.level", "read_committed"),
    ];
    let mut config: ClientConfig = connection.client_config("mcp-hybrid-reader", &defaults);
    config.set("allow.auto.create.topics", "false");
    config.create().map_err(|error| creation_error(&error))
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<Vec<i32>> {
    let metadata = consumer
        .fetch_metadata(Some(topic), REQUEST)
        .with_context(|| format!("no broker told about topic {topic}"))?;
    let found = metadata
        .topics()
        .iter()
        .find(|found| found.name() == topic && found.error().is_none())
        .map(|found| {
            found
                .partitions()
                .iter()
                .map(|partition| partition.id())
                .collect::<Vec<_>>()
        })
        .filter(|partitions| !partitions.is_empty());
    found.with_context(|| format!("topic {topic} does not exist"))
}
