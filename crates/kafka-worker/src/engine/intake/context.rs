//! The consumer's callbacks: rebalances, broker errors, statistics. All run on the poll thread, inside `poll`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mcp_runtime::Condition;
use metrics::{counter, gauge};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::assignment::Assignment;
use crate::engine::flow::Change;
use crate::journal::count;
use crate::kafka;
use crate::metric_definitions as metric;

/// What the callbacks work on.
pub(super) struct Context {
    pub(super) assignment: Assignment,
    pub(super) drain: Duration,
    pub(super) revoked: Arc<Notify>,
    pub(super) joined: Condition,
    pub(super) broker: Condition,
    pub(super) topic_missing: AtomicBool,
    pub(super) refused: AtomicBool,
}

impl Context {
    pub(super) fn broker_fails(&self, code: RDKafkaErrorCode, reason: &str) {
        let reason = if kafka::is_refusal(code) {
            self.refused.store(true, Ordering::Relaxed);
            format!("the broker refuses this client, check its credentials and ACLs: {reason}")
        } else if self.refused.load(Ordering::Relaxed) {
            // "All brokers are down" follows from a refusal, and would hide what there is to do.
            return;
        } else {
            reason.to_owned()
        };
        if self.broker.fails(&reason) {
            tracing::error!(?code, "{reason}");
        }
    }

    pub(super) fn broker_answers(&self) {
        self.refused.store(false, Ordering::Relaxed);
        self.broker.holds();
    }

    pub(super) fn record_arrived(&self) {
        self.broker_answers();
        if self.topic_missing.swap(false, Ordering::Relaxed) {
            self.joined.holds();
        }
    }

    /// Until partitions are assigned or records arrive: the client looks for the topic again by itself.
    pub(super) fn topic_missing(&self, code: RDKafkaErrorCode, error: &KafkaError) {
        self.topic_missing.store(true, Ordering::Relaxed);
        let what = match code {
            RDKafkaErrorCode::TopicAuthorizationFailed => "may not be read, check its ACL",
            _ => "does not exist, create it",
        };
        let reason = format!("a topic of KAFKA_TOPIC {what}: {error}");
        if self.joined.fails(&reason) {
            tracing::error!("{reason}");
        }
    }

    /// Pauses or resumes every assigned partition.
    pub(super) fn apply(&self, consumer: &BaseConsumer<Self>, change: Change) {
        match consumer.assignment() {
            Ok(assigned) => self.apply_to(consumer, &assigned, change),
            Err(error) => tracing::warn!(%error, ?change, "intake"),
        }
    }

    fn apply_to(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &TopicPartitionList,
        change: Change,
    ) {
        let result = match change {
            Change::Pause => consumer.pause(partitions),
            Change::Resume => consumer.resume(partitions),
        };
        gauge!(metric::PARTITIONS_PAUSED).set(match change {
            Change::Pause => count(self.assignment.count()),
            Change::Resume => 0.0,
        });
        match result {
            Ok(()) => tracing::debug!(?change, "intake"),
            Err(error) => tracing::warn!(%error, ?change, "intake"),
        }
    }

    /// Hands the committable offsets that have moved to librdkafka, which commits them later.
    pub(super) fn store(&self, consumer: &BaseConsumer<Self>) {
        let offsets = self.assignment.take_commits();
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

    pub(super) fn commit(&self, consumer: &BaseConsumer<Self>, mode: CommitMode) {
        match consumer.commit_consumer_state(mode) {
            Ok(()) => {}
            // Nothing new is stored: that is a success.
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
            // `RebalanceInProgress`, `IllegalGeneration`: the next commit carries what is stored, or the next owner
            // processes the records again.
            Err(error) => tracing::warn!(%error, ?mode, "offsets were not committed"),
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

    /// The end of a drain: store → commit → bump the epochs. `None`: of all partitions.
    pub(super) fn give_up(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: Option<&TopicPartitionList>,
    ) {
        self.assignment.apply_done(Duration::ZERO);
        self.store(consumer);
        self.commit(consumer, CommitMode::Sync);
        let unfinished = self.assignment.release(partitions);
        if unfinished > 0 {
            tracing::info!(
                unfinished,
                "partitions given up; their unfinished jobs come again elsewhere"
            );
        }
        self.revoked.notify_one();
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        if consumer.assignment_lost() {
            // Expelled: another member may own them already. Nothing can be committed, and late results must not count.
            counter!(metric::REBALANCES, "kind" => "lost").increment(1);
            let unfinished = self.assignment.release(Some(partitions));
            tracing::warn!(
                partitions = partitions.count(),
                unfinished,
                "partitions lost"
            );
            self.revoked.notify_one();
            return;
        }
        counter!(metric::REBALANCES, "kind" => "revoked").increment(1);
        self.assignment.stop_dispatch_of(partitions);
        self.revoked.notify_one();
        let deadline = Instant::now() + self.drain;
        while self.assignment.in_flight_of(partitions) > 0 && Instant::now() < deadline {
            // Only the dispatcher is waited for, which needs nothing of this thread.
            self.assignment.apply_done(Duration::from_millis(20));
        }
        self.give_up(consumer, Some(partitions));
    }
}

impl ClientContext for Context {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(code @ RDKafkaErrorCode::AllBrokersDown) => {
                self.broker_fails(code, "no broker of KAFKA_BROKERS can be reached");
            }
            Some(code) if kafka::is_refusal(code) => self.broker_fails(code, reason),
            _ => tracing::warn!(%error, reason, "consumer"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        if statistics
            .brokers
            .values()
            .any(|broker| broker.state == "UP" && broker.nodeid >= 0)
        {
            self.broker_answers();
        }
        for (topic, numbers) in &statistics.topics {
            for (id, partition) in &numbers.partitions {
                if *id < 0 {
                    continue;
                }
                // -1 is unknown: not fetched yet. The last stable offset is where a reader of committed records ends.
                let end = partition.ls_offset.max(partition.lo_offset);
                let lag = match self.assignment.committable(topic, *id) {
                    Some(Some(committable)) if end >= 0 => end - committable,
                    Some(_) => partition.consumer_lag_stored.max(partition.consumer_lag),
                    None => continue,
                };
                if let Ok(lag) = usize::try_from(lag) {
                    gauge!(metric::LAG, "topic" => topic.clone(), "partition" => id.to_string())
                        .set(count(lag));
                }
            }
        }
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => self.assignment.acquire(partitions),
            Rebalance::Revoke(partitions) => self.revoke(consumer, partitions),
            Rebalance::Error(error) => tracing::warn!(%error, "rebalance"),
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        gauge!(metric::PARTITIONS_ASSIGNED).set(count(self.assignment.count()));
        if let Rebalance::Assign(partitions) = rebalance {
            counter!(metric::REBALANCES, "kind" => "assigned").increment(1);
            tracing::info!(
                added = partitions.count(),
                owned = self.assignment.count(),
                "partitions assigned"
            );
            if partitions.count() > 0 {
                self.topic_missing.store(false, Ordering::Relaxed);
            }
            if !self.topic_missing.load(Ordering::Relaxed) {
                self.joined.holds();
            }
            // librdkafka knows nothing of the pause when a partition is assigned for the first time, and remembers the
            // one of its last time here: without a word it would never be fetched from again.
            let change = match self.assignment.flow().is_paused() {
                true => Change::Pause,
                false => Change::Resume,
            };
            self.apply_to(consumer, partitions, change);
        }
    }
}

/// A revocation blocks this thread: never longer than half of the time after which the broker expels the member.
pub(super) fn max_revoke(client: &rdkafka::ClientConfig) -> Duration {
    let interval = client
        .get("max.poll.interval.ms")
        .and_then(|value| value.parse().ok())
        .unwrap_or(300_000);
    Duration::from_millis(interval / 2)
}
