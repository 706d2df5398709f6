//! Reads topics by partition and offset, without a group's assignment. Its calls block.

use std::ops::ControlFlow;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset, TopicPartitionList};
use std::time::Duration;
use tokio::time::Instant;

use super::client::{PATIENCE, REQUEST, Troubles, is_passing};
use super::letter::Letter;
use super::target::Target;
use crate::kafka::creation_error;

/// Part of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) partition: i32,
    /// The first offset.
    pub(super) from: i64,
    /// The offset behind the last one.
    pub(super) to: i64,
}

impl Range {
    /// How many offsets; there may be fewer records.
    pub(super) fn len(self) -> u64 {
        u64::try_from(self.to - self.from).unwrap_or(0)
    }
}

/// A topic, as the broker tells of it.
pub(super) enum Seen {
    /// It does not exist.
    Missing,
    /// The broker tells nothing: where permissions are needed, also of topics that do not exist.
    Refused(RDKafkaErrorCode),
    /// At least one.
    Partitions(Vec<i32>),
}

/// Reads without a group's assignment.
pub(super) struct Reader {
    consumer: BaseConsumer<Troubles>,
    troubles: Troubles,
    brokers: String,
}

impl Reader {
    /// # Errors
    /// A property that librdkafka refuses.
    pub(super) fn new(target: &Target) -> anyhow::Result<Self> {
        let troubles = Troubles::default();
        // Where markers of transactions stand at the end, it is known to be one only after an empty answer.
        let defaults = [
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.wait.max.ms", "100"),
        ];
        let mut config = target.connection.client_config("mcp-dlq", &defaults);
        // These are not the operator's to set.
        config
            .set("group.id", &target.group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false");
        let consumer = config
            .create_with_context(troubles.clone())
            .map_err(|error| creation_error(&error))?;
        Ok(Self {
            consumer,
            troubles,
            brokers: target.connection.brokers.clone(),
        })
    }

    fn failed(&self, what: &str, error: &KafkaError) -> anyhow::Error {
        // The reason waits in the client's queue, until someone polls.
        while self.consumer.poll(Duration::from_millis(10)).is_some() {}
        self.troubles.explain(what, error)
    }

    /// The topic's partitions; none if it does not exist.
    pub(super) fn partitions(&self, topic: &str) -> anyhow::Result<Option<Vec<i32>>> {
        match self.look(topic)? {
            Seen::Partitions(partitions) => Ok(Some(partitions)),
            Seen::Missing => Ok(None),
            Seen::Refused(code) => Err(self.troubles.explain(
                &format!("topic {topic} can't be read"),
                &KafkaError::MetadataFetch(code),
            )),
        }
    }

    /// What the broker tells of the topic.
    pub(super) fn look(&self, topic: &str) -> anyhow::Result<Seen> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(topic), REQUEST)
            .map_err(|error| {
                self.failed(&format!("no broker of {} answers", self.brokers), &error)
            })?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(Seen::Missing);
        };
        if let Some(error) = found.error() {
            return Ok(match RDKafkaErrorCode::from(error) {
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                    Seen::Missing
                }
                code => Seen::Refused(code),
            });
        }
        let mut partitions: Vec<_> = found.partitions().iter().map(|found| found.id()).collect();
        partitions.sort_unstable();
        Ok(match partitions.is_empty() {
            true => Seen::Missing,
            false => Seen::Partitions(partitions),
        })
    }

    /// As [`Reader::partitions`], for a topic that must exist.
    pub(super) fn existing(&self, topic: &str) -> anyhow::Result<Vec<i32>> {
        let found = self.partitions(topic)?;
        found.with_context(|| {
            format!("topic {topic} does not exist: name the dead-letter topic with --topic or --dlq-topic")
        })
    }

    /// All that each partition holds now.
    pub(super) fn extent(&self, topic: &str, partitions: &[i32]) -> anyhow::Result<Vec<Range>> {
        let range = |partition: &i32| {
            let partition = *partition;
            let (from, to) = self
                .consumer
                .fetch_watermarks(topic, partition, REQUEST)
                .map_err(|error| {
                    self.failed(&format!("{topic}/{partition} can't be read"), &error)
                })?;
            Ok(Range {
                partition,
                from,
                to,
            })
        };
        partitions.iter().map(range).collect()
    }

    /// The first offset whose record is of that time or later; none where all are older.
    pub(super) fn offset_at(
        &self,
        topic: &str,
        partition: i32,
        millis: i64,
    ) -> anyhow::Result<Option<i64>> {
        let failed = |error: &KafkaError| {
            self.failed(
                &format!("{topic}/{partition} can't be searched by time"),
                error,
            )
        };
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(topic, partition, Offset::Offset(millis.max(0)))?;
        let found = self
            .consumer
            .offsets_for_times(wanted, REQUEST)
            .map_err(|error| failed(&error))?;
        let elements = found.elements();
        let element = elements.first().context("the broker names no offset")?;
        element.error().map_err(|error| failed(&error))?;
        Ok(match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    }

    /// Shows every record of the ranges to `visit`, until it breaks off; returns whether it did.
    pub(super) fn scan(
        &self,
        topic: &str,
        ranges: &[Range],
        visit: &mut dyn FnMut(Letter) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<ControlFlow<()>> {
        for range in ranges.iter().filter(|range| range.from < range.to) {
            let flow = self.scan_one(topic, *range, visit);
            self.consumer.unassign()?;
            if flow?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn scan_one(
        &self,
        topic: &str,
        range: Range,
        visit: &mut dyn FnMut(Letter) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<ControlFlow<()>> {
        let what = || format!("{topic}/{} can't be read", range.partition);
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, range.partition, Offset::Offset(range.from))?;
        self.consumer.assign(&from)?;
        let mut heard = Instant::now();
        loop {
            match self.consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    // The last records may be gone, or markers of transactions.
                    if message.offset() >= range.to {
                        return Ok(ControlFlow::Continue(()));
                    }
                    let last = message.offset() + 1 >= range.to;
                    let letter = Letter::of(&message);
                    drop(message);
                    if visit(letter)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    if last {
                        return Ok(ControlFlow::Continue(()));
                    }
                    // After the visit, which may take its time.
                    heard = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) if partition == range.partition => {
                    return Ok(ControlFlow::Continue(()));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => {
                    let passing = error.rdkafka_error_code().is_some_and(is_passing);
                    if !passing || heard.elapsed() > PATIENCE {
                        return Err(self.failed(&what(), &error));
                    }
                }
                None if heard.elapsed() > PATIENCE => {
                    let error = KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
                    return Err(self.failed(&what(), &error));
                }
                None => {}
            }
        }
    }

    /// The record at that place; none if it is gone, or not there yet.
    pub(super) fn one(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> anyhow::Result<Option<Letter>> {
        let partitions = self.partitions(topic)?;
        if !partitions.is_some_and(|found| found.contains(&partition)) {
            return Ok(None);
        }
        let extent = self.extent(topic, &[partition])?;
        if !extent
            .iter()
            .any(|range| (range.from..range.to).contains(&offset))
        {
            return Ok(None);
        }
        let only = Range {
            partition,
            from: offset,
            to: offset + 1,
        };
        let mut found = None;
        let _ = self.scan(topic, &[only], &mut |letter| {
            found = Some(letter);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }
}
