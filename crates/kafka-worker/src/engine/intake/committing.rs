//! Commits: the offsets, and beside them what is finished ahead of them. All on the poll thread.

use std::sync::PoisonError;
use std::time::Duration;

use metrics::counter;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::context::Context;
use crate::engine::ownership::Ownership;
use crate::engine::tracker::Commit;
use crate::metric_definitions as metric;

/// How long the coordinator may take to tell what is committed: the poll thread waits for it in an assignment.
const COMMITTED: Duration = Duration::from_secs(1);

/// The text with which commits say what is finished ahead of their offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// None.
    None,
    /// As long as it is.
    Needed,
    /// As long as any can be, to see whether the broker takes that.
    Longest,
}

impl Context {
    /// Hands the committable offsets that have moved to librdkafka, which commits them later.
    pub(super) fn store(&self, consumer: &BaseConsumer<Self>) {
        let offsets = self.assignment.take_commits(self.text());
        if offsets.count() == 0 {
            return;
        }
        counter!(metric::COMMITS).increment(1);
        // `store_offsets` stores exactly what it is given, the offset to read next. `store_offset` would add one.
        if let Err(error) = consumer.store_offsets(&offsets) {
            // A partition that was taken away without a revocation: its offsets are no longer ours to commit.
            tracing::warn!(%error, "offsets were not stored");
            self.assignment.untake_commits(&offsets);
        }
    }

    /// Commits what is stored. `false`: the coordinator refuses it because of a rebalance; once that is over it takes it.
    pub(super) fn commit(&self, consumer: &BaseConsumer<Self>, mode: CommitMode) -> bool {
        self.try_text(consumer);
        // What is stored goes out only where its offset is higher than the committed one. At the end of an assignment all
        // offsets go out by name, for what was finished ahead of one that stands still. Not before it: nobody is told how
        // an asynchronous commit ended, so that two of them could overtake each other and offsets go back.
        let committed = match mode {
            CommitMode::Sync => self.commit_by_name(consumer),
            CommitMode::Async => consumer.commit_consumer_state(mode),
        };
        let Err(error) = committed else {
            return true;
        };
        match error.rdkafka_error_code() {
            // Nothing new is stored: that is a success.
            Some(RDKafkaErrorCode::NoOffset) => true,
            Some(RDKafkaErrorCode::RebalanceInProgress | RDKafkaErrorCode::IllegalGeneration) => {
                tracing::debug!(%error, ?mode, "offsets are not committed during a rebalance");
                false
            }
            // The next commit carries what is stored, or the next owner processes the records again.
            _ => {
                tracing::warn!(%error, ?mode, "offsets were not committed");
                true
            }
        }
    }

    /// What commits carry now.
    fn text(&self) -> Text {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        match *text {
            Text::Longest => Text::None,
            known => known,
        }
    }

    /// Sees once whether the broker takes the longest text. Nobody is told how an asynchronous commit ended, and one that
    /// is refused for its text would be refused as long as that stands.
    fn try_text(&self, consumer: &BaseConsumer<Self>) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        if *text != Text::Longest {
            return;
        }
        let offsets = self.assignment.commits(Text::Longest);
        if offsets.count() == 0 {
            return;
        }
        match consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) => *text = Text::Needed,
            Err(error)
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::OffsetMetadataTooLarge) =>
            {
                *text = Text::None;
                tracing::warn!(
                    "the broker's offset.metadata.max.bytes is less than 3000: what is finished out of order can't be \
                     committed, and comes again when its partition gets another owner"
                );
            }
            Err(error) => tracing::debug!(%error, "offsets with text were not committed"),
        }
    }

    fn commit_by_name(&self, consumer: &BaseConsumer<Self>) -> Result<(), KafkaError> {
        let offsets = self.assignment.commits(self.text());
        match offsets.count() {
            0 => Ok(()),
            _ => consumer.commit(&offsets, CommitMode::Sync),
        }
    }

    /// Commits an offset below the one that is committed: librdkafka sends stored offsets only upwards.
    pub(super) fn commit_back(
        &self,
        consumer: &BaseConsumer<Self>,
        topic: &str,
        partition: i32,
        offset: i64,
    ) {
        let mut offsets = TopicPartitionList::new();
        let committed = offsets
            .add_partition_offset(topic, partition, Offset::Offset(offset))
            .and_then(|()| consumer.commit(&offsets, CommitMode::Sync));
        if let Err(error) = committed {
            tracing::error!(%error, topic, partition, offset, "the offset of the new log was not committed");
        }
    }

    /// What the group has committed of the partitions. The client asks for the offsets itself later; this is for what was
    /// finished ahead of them.
    pub(super) fn committed(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &TopicPartitionList,
    ) -> Option<TopicPartitionList> {
        let committed = consumer.committed_offsets(partitions.clone(), COMMITTED);
        self.pulse.beat();
        if let Err(error) = &committed {
            tracing::warn!(%error, "what the last owners had finished ahead of their offsets is not known and comes again");
        }
        committed.ok()
    }
}

/// Adds what is to be committed of a partition to the list.
pub(super) fn add(offsets: &mut TopicPartitionList, of: &Ownership, commit: &Commit, text: Text) {
    let offset = Offset::Offset(commit.offset);
    if let Err(error) = offsets.add_partition_offset(&of.topic, of.partition, offset) {
        tracing::error!(%error, ?offset, "an offset that librdkafka does not take");
        return;
    }
    if let Some(ahead) = &commit.ahead
        && let Some(mut added) = offsets.find_partition(&of.topic, of.partition)
    {
        match text {
            Text::None => {}
            Text::Needed => added.set_metadata(ahead.encode()),
            Text::Longest => added.set_metadata(ahead.encode_longest()),
        }
    }
}
