//! Commits: the offsets, and beside them what is finished ahead of them.
//!
//! Every commit names its offsets, because librdkafka commits stored ones only where they are higher, and what is
//! finished behind an offset that stands still has to go out too. Every commit is waited for, because two that are
//! under way can overtake each other after a reconnect, so that offsets go back. So that the poll thread need not wait,
//! a thread of its own commits at intervals.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use metrics::counter;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::context::Context;
use crate::engine::ownership::Ownership;
use crate::engine::tracker::Commit;
use crate::metric_definitions as metric;

/// How long the coordinator may take to tell what is committed: the poll thread waits for it in an assignment.
const COMMITTED: Duration = Duration::from_secs(1);
/// How often it is asked.
const COMMITTED_TRIES: usize = 3;
/// At most one commit in this time: what is finished in it comes again after a kill.
const COMMIT_INTERVAL: Duration = Duration::from_millis(600);

/// How long commits may fail before `/ready` tells.
const UNCOMMITTED_MAX: Duration = Duration::from_secs(30);

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

/// How commits go.
pub(super) struct Committing {
    /// What they carry: [`Text::Longest`] until the broker has taken that once.
    text: Text,
    /// Since when they fail.
    failing_since: Option<Instant>,
}

impl Default for Committing {
    fn default() -> Self {
        Self {
            text: Text::Longest,
            failing_since: None,
        }
    }
}

/// One commit: of which assignments, and what.
#[derive(Default)]
pub(super) struct Commits {
    offsets: TopicPartitionList,
    pub(super) of: Vec<(Arc<Ownership>, Commit)>,
}

impl Commits {
    pub(super) fn add(&mut self, of: Arc<Ownership>, commit: Commit, text: Text) {
        let offset = Offset::Offset(commit.offset);
        let added = self
            .offsets
            .add_partition_offset(&of.topic, of.partition, offset);
        if let Err(error) = added {
            tracing::error!(%error, ?offset, "an offset that librdkafka does not take");
            return;
        }
        if let Some(ahead) = &commit.ahead
            && let Some(mut added) = self.offsets.find_partition(&of.topic, of.partition)
        {
            match text {
                Text::None => {}
                Text::Needed => added.set_metadata(ahead.encode()),
                Text::Longest => added.set_metadata(ahead.encode_longest()),
            }
        }
        self.of.push((of, commit));
    }
}

/// Commits at intervals, until the other end of `closed` is dropped.
pub(super) fn run(consumer: &BaseConsumer<Context>, closed: &Receiver<()>) {
    while closed.recv_timeout(COMMIT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        consumer.context().commit(consumer);
    }
}

/// Whether a commit that failed so may succeed in a moment.
fn passes(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::CoordinatorLoadInProgress
            | RDKafkaErrorCode::CoordinatorNotAvailable
            | RDKafkaErrorCode::NotCoordinator
            | RDKafkaErrorCode::WaitingForCoordinator
            | RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::NetworkException
    )
}

impl Context {
    /// Commits what is new. `false`: the coordinator does not take it now, because of a rebalance or because it is not there;
    /// once that is over it does.
    pub(super) fn commit(&self, consumer: &BaseConsumer<Self>) -> bool {
        let mut committing = self
            .committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if committing.text == Text::Longest {
            committing.text = self.try_text(consumer);
        }
        let commits = self.assignment.commits(match committing.text {
            Text::Longest => Text::None,
            known => known,
        });
        if commits.of.is_empty() {
            self.nothing_is_left(&mut committing);
            return true;
        }
        let Err(error) = consumer.commit(&commits.offsets, CommitMode::Sync) else {
            counter!(metric::COMMITS).increment(1);
            self.assignment.committed(commits);
            self.nothing_is_left(&mut committing);
            return true;
        };
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::StaleMemberEpoch,
            ) => {
                tracing::debug!(%error, "offsets are not committed during a rebalance");
                false
            }
            // The next commit carries them, or the next owner processes the records again.
            code => {
                self.not_committed(&mut committing, &error);
                !code.is_some_and(passes)
            }
        }
    }

    /// Says so at once, and in `/ready` when it lasts: all that is finished meanwhile comes again after a restart.
    fn not_committed(&self, committing: &mut Committing, error: &KafkaError) {
        counter!(metric::COMMITS_FAILED).increment(1);
        tracing::warn!(%error, "offsets were not committed");
        let since = committing.failing_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= UNCOMMITTED_MAX {
            let reason = format!("offsets can't be committed: {error}");
            if self.commits.fails(&reason) {
                tracing::error!("{reason}");
            }
        }
    }

    /// All that is done of what is owned is committed. That may be because its partitions are another's by now.
    fn nothing_is_left(&self, committing: &mut Committing) {
        if committing.failing_since.take().is_some() {
            self.commits.holds();
        }
    }

    /// Sees whether the broker takes the longest text: a commit that is refused for its text would be refused as long
    /// as that stands.
    fn try_text(&self, consumer: &BaseConsumer<Self>) -> Text {
        let commits = self.assignment.commits(Text::Longest);
        if commits.of.is_empty() {
            return Text::Longest;
        }
        match consumer.commit(&commits.offsets, CommitMode::Sync) {
            Ok(()) => Text::Needed,
            Err(error)
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::OffsetMetadataTooLarge) =>
            {
                tracing::warn!(
                    "the broker's offset.metadata.max.bytes is less than 3000: what is finished out of order can't be \
                     committed, and comes again when its partition gets another owner"
                );
                Text::None
            }
            Err(error) => {
                tracing::debug!(%error, "offsets with text were not committed");
                Text::Longest
            }
        }
    }

    /// Commits an offset below the one that is committed.
    pub(super) fn commit_back(
        &self,
        consumer: &BaseConsumer<Self>,
        topic: &str,
        partition: i32,
        offset: i64,
    ) {
        let _alone = self
            .committing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
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
        let ask = || {
            let committed = consumer.committed_offsets(partitions.clone(), COMMITTED);
            self.pulse.beat();
            committed
        };
        let mut committed = (1..COMMITTED_TRIES)
            .fold(ask(), |committed, _| committed.or_else(|_| ask()))
            .inspect_err(|error| {
                tracing::warn!(%error, "what the last owners had finished ahead of their offsets is not known and comes again");
            })
            .ok()?;
        if self.from_earliest {
            self.begin_at_the_start(consumer, &mut committed);
        }
        Some(committed)
    }

    /// Where the group has committed nothing, it begins with the first record that there is.
    fn begin_at_the_start(
        &self,
        consumer: &BaseConsumer<Self>,
        committed: &mut TopicPartitionList,
    ) {
        let new: Vec<_> = committed
            .elements()
            .iter()
            .filter(|element| !matches!(element.offset(), Offset::Offset(_)))
            .map(|element| (element.topic().to_owned(), element.partition()))
            .collect();
        for (topic, partition) in new {
            let marks = consumer.fetch_watermarks(&topic, partition, COMMITTED);
            self.pulse.beat();
            let Ok((start, _)) = marks else {
                // A broker that does not answer is not asked for the rest.
                break;
            };
            let set = committed.set_partition_offset(&topic, partition, Offset::Offset(start));
            if let Err(error) = set {
                tracing::debug!(%error, topic, partition, "where the partition begins");
            }
        }
    }
}
