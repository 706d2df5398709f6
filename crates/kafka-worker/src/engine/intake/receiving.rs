//! What becomes of a record that the client hands out.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset};

use super::Intake;
use crate::engine::dispatcher::Received;
use crate::engine::ownership::Ownership;
use crate::engine::tracker::Arrival;

/// How long setting the client to an offset may take.
const SEEK: Duration = Duration::from_secs(5);
/// The same where nothing depends on it now.
const BEGIN: Duration = Duration::from_secs(1);

/// What a received record is.
pub(super) enum Receipt {
    /// The next one of its partition.
    Next(Arc<Ownership>),
    /// One that the last owner had finished.
    Finished,
    /// One that has come before.
    Known,
    /// One whose offset was passed before, so the first of another log. The records of the old one no longer count.
    LogRestarted {
        /// The new right to work on the partition.
        ownership: Arc<Ownership>,
        /// Records of the old log that were not finished.
        unfinished: usize,
    },
    /// The first one of an assignment, beyond the offset where it should begin: the client is to begin there.
    ReadFrom(i64),
    /// One from further back than is known, while there are unfinished ones below it: they are to be read again, from this
    /// offset on.
    ReadAgain(i64),
    /// Of a partition that is not owned, is being given up, or can't be read on: it comes again elsewhere or later.
    NotOwned,
}

impl Intake {
    /// Takes the record out of librdkafka, if it is one of ours.
    pub(super) fn receive(&self, record: &BorrowedMessage<'_>, bytes: usize) -> Option<Received> {
        let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
        if let Some((_, consumed)) = self.consumed.iter().find(|(name, _)| name == topic) {
            consumed.increment(1);
        }
        self.context().record_arrived();
        let arrival = Arrival {
            offset,
            timestamp: record.timestamp().to_millis().unwrap_or(-1),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        };
        let assignment = &self.context().assignment;
        let ownership = match assignment.receive(topic, partition, arrival) {
            Receipt::Next(ownership) => ownership,
            Receipt::Finished => {
                tracing::debug!(topic, partition, offset, "the last owner has finished it");
                return None;
            }
            Receipt::Known => {
                tracing::debug!(topic, partition, offset, "the record has come before");
                return None;
            }
            Receipt::NotOwned => return None,
            Receipt::ReadFrom(from) => {
                tracing::debug!(topic, partition, offset, from, "told where to begin");
                self.read_from(topic, partition, from);
                return None;
            }
            Receipt::ReadAgain(from) => {
                tracing::warn!(
                    topic,
                    partition,
                    offset,
                    from,
                    "the client has gone back: what is not finished is read again"
                );
                self.context().sorting.ask();
                self.read_from(topic, partition, from);
                return None;
            }
            Receipt::LogRestarted {
                ownership,
                unfinished,
            } => {
                tracing::error!(
                    topic,
                    partition,
                    offset,
                    unfinished,
                    "the log begins anew at an offset that was passed: the topic was made anew, or records were lost \
                     at the broker; jobs of the old log are dropped, those of the new one are all processed"
                );
                self.context().sorting.ask();
                self.context()
                    .commit_back(&self.consumer, topic, partition, offset);
                ownership
            }
        };
        Some(Received {
            // Copied out of librdkafka, so that its fetch buffer is not kept alive by one slow job.
            message: record.detach(),
            ownership,
        })
    }

    /// Sets the client to where it should stand. Where that fails, it is tried again.
    pub(super) fn begin_at(&self, topic: &str, partition: i32, begin: i64) {
        tracing::debug!(
            topic,
            partition,
            begin,
            "nothing has come: told where to begin"
        );
        let offset = Offset::Offset(begin);
        if let Err(error) = self.consumer.seek(topic, partition, offset, BEGIN) {
            tracing::debug!(%error, topic, partition, "not told where to begin");
            self.context().assignment.not_told(topic, partition);
        }
    }

    /// Sets the client to an offset. Where that fails, only a new process is sure to read on from what is committed.
    fn read_from(&self, topic: &str, partition: i32, from: i64) {
        let sought = self
            .consumer
            .seek(topic, partition, Offset::Offset(from), SEEK);
        if let Err(error) = sought {
            self.fatal.raise(format!(
                "the client can't be set to offset {from} of topic {topic} partition {partition}: {error}"
            ));
        }
    }
}
