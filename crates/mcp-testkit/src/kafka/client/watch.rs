//! Looking at offsets and at new records without being a member of any group.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaResult,
};
use tokio::task::spawn_blocking;

use super::{REQUEST, finished};
use crate::kafka::Record;

/// What a group has committed, and where a topic ends.
#[derive(Clone)]
pub struct OffsetWatch {
    consumer: Arc<BaseConsumer>,
    topic: Arc<str>,
    partitions: i32,
}

impl OffsetWatch {
    pub(super) fn new(consumer: BaseConsumer, topic: &str, partitions: i32) -> OffsetWatch {
        OffsetWatch {
            consumer: Arc::new(consumer),
            topic: topic.into(),
            partitions,
        }
    }

    /// The committed offset of each partition, the one to be read next, and the text that was committed beside it.
    ///
    /// # Errors
    ///
    /// The broker's, as text.
    pub async fn committed(&self) -> Result<Vec<Option<(i64, String)>>, String> {
        self.ask(|watch| {
            let mut of = TopicPartitionList::new();
            for partition in 0..watch.partitions {
                of.add_partition(&watch.topic, partition);
            }
            let committed = watch.consumer.committed_offsets(of, REQUEST)?;
            let mut offsets = vec![None; usize::try_from(watch.partitions).unwrap_or_default()];
            for element in committed.elements() {
                element.error()?;
                if let (Offset::Offset(offset), Ok(partition)) =
                    (element.offset(), usize::try_from(element.partition()))
                {
                    offsets[partition] = Some((offset, element.metadata().to_owned()));
                }
            }
            Ok(offsets)
        })
        .await
    }

    /// The offset behind the last record of each partition.
    ///
    /// # Errors
    ///
    /// The broker's, as text.
    pub async fn ends(&self) -> Result<Vec<i64>, String> {
        self.ask(|watch| {
            (0..watch.partitions)
                .map(|partition| {
                    let found = watch
                        .consumer
                        .fetch_watermarks(&watch.topic, partition, REQUEST);
                    found.map(|(_, end)| end)
                })
                .collect()
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&OffsetWatch) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T, String> {
        let watch = self.clone();
        finished(spawn_blocking(move || question(&watch)).await).map_err(|error| error.to_string())
    }
}

/// The state of a group of the classic protocol.
#[derive(Clone)]
pub struct GroupWatch {
    consumer: Arc<BaseConsumer>,
    group: Arc<str>,
}

impl GroupWatch {
    pub(super) fn new(consumer: BaseConsumer, group: &str) -> GroupWatch {
        GroupWatch {
            consumer: Arc::new(consumer),
            group: group.into(),
        }
    }

    /// The state as the coordinator names it: `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`, `Dead`.
    ///
    /// # Errors
    ///
    /// The broker's, as text.
    pub async fn state(&self) -> Result<String, String> {
        let watch = self.clone();
        let state = spawn_blocking(move || {
            let found = watch
                .consumer
                .fetch_group_list(Some(&watch.group), REQUEST)?;
            let state = found.groups().first().map(|group| group.state().to_owned());
            Ok(state.unwrap_or_else(|| "Dead".to_owned()))
        });
        finished(state.await).map_err(|error: rdkafka::error::KafkaError| error.to_string())
    }
}

/// The records of a topic, from its beginning on.
#[derive(Clone)]
pub struct Tail {
    consumer: Arc<Mutex<BaseConsumer>>,
}

impl Tail {
    pub(super) fn new(consumer: BaseConsumer, topic: &str, partitions: i32) -> Tail {
        let mut from = TopicPartitionList::new();
        for partition in 0..partitions {
            from.add_partition_offset(topic, partition, Offset::Beginning)
                .expect("an offset that can be assigned");
        }
        consumer.assign(&from).expect("partitions can be assigned");
        Tail {
            consumer: Arc::new(Mutex::new(consumer)),
        }
    }

    /// The records that have arrived since the last call, waiting up to `wait` for the first of them. Whatever goes
    /// wrong meanwhile is the client's to get over.
    pub async fn next(&self, wait: Duration) -> Vec<Record> {
        let consumer = self.consumer.clone();
        let read = spawn_blocking(move || {
            let consumer = consumer.lock().unwrap_or_else(PoisonError::into_inner);
            let mut records = Vec::new();
            let mut wait = wait;
            while let Some(polled) = consumer.poll(wait) {
                if let Ok(message) = polled {
                    records.push(Record::of(&message));
                    wait = Duration::ZERO;
                }
            }
            records
        });
        finished(read.await)
    }
}
