//! The consumer's callbacks (rebalances, broker errors, statistics), and what follows from them. All run on the poll
//! thread.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_runtime::Condition;
use metrics::{counter, gauge};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Statistics, TopicPartitionList};
use tokio::time::Instant;

use super::assignment::{Assignment, PausePlan, Pauses};
use super::committing::Committing;
use crate::engine::flow::Load;
use crate::engine::observer::Board;
use crate::journal::count;
use crate::kafka;
use crate::metric_definitions as metric;
use crate::signals::{Owned, Pulse, Sorting};

/// How long a member waits for its first partition before it is said, in milliseconds.
const IDLE_MS: i64 = 30_000;
const NO_PARTITION: &str = "no partition was given to this worker yet: it is a spare one, or the brokers do not know \
    group.protocol=consumer (KIP-848), which needs Kafka 4.0; unset it for older ones";

/// What the callbacks work on.
pub(super) struct Context {
    pub(super) assignment: Assignment,
    pub(super) drain: Duration,
    pub(super) sorting: Sorting,
    pub(super) owned: Owned,
    pub(super) pulse: Pulse,
    pub(super) joined: Condition,
    pub(super) broker: Condition,
    pub(super) records: Condition,
    /// KIP-848: the broker assigns.
    pub(super) broker_assigns: bool,
    /// With KIP-848: it was said that there is no partition.
    pub(super) told_idle: AtomicBool,
    pub(super) board: Board,
    pub(super) runnable_max: Load,
    pub(super) waiting_max: Load,
    /// Whether enough jobs are here that could run.
    pub(super) full: AtomicBool,
    pub(super) leaving: Mutex<Option<Leaving>>,
    /// The consumer is being closed, and waits for what is still to be given up.
    pub(super) closing: AtomicBool,
    /// Whether intake is paused as a whole: partitions assigned now must be paused too.
    pub(super) pause_all: AtomicBool,
    /// A group that has never committed begins with the first record.
    pub(super) from_earliest: bool,
    /// Whether offsets can be committed.
    pub(super) commits: Condition,
    /// Held while a commit is under way.
    pub(super) committing: Mutex<Committing>,
    pub(super) topic_missing: AtomicBool,
    pub(super) refused: AtomicBool,
    /// The broker answers, and refuses this client the group or a topic. That brokers answer is no sign that it is over.
    pub(super) barred: AtomicBool,
    /// The code of the broker's trouble that the log has been told of; 0 while there is none.
    pub(super) told: AtomicI32,
}

impl Context {
    pub(super) fn broker_fails(&self, code: RDKafkaErrorCode, reason: &str) {
        let reason = if kafka::is_refusal(code) {
            self.refused.store(true, Ordering::Relaxed);
            let is_barred = matches!(
                code,
                RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed
            );
            self.barred.fetch_or(is_barred, Ordering::Relaxed);
            format!("the broker refuses this client, check its credentials and ACLs: {reason}")
        } else if self.refused.load(Ordering::Relaxed) {
            // "All brokers are down" follows from a refusal, and would hide what there is to do.
            return;
        } else {
            reason.to_owned()
        };
        self.broker.fails(&reason);
        // The text differs from broker to broker and from try to try; the trouble is the same.
        if self.told.swap(code as i32, Ordering::Relaxed) != code as i32 {
            tracing::error!(?code, "{reason}");
        }
    }

    /// A broker answers. What it refuses this client it may go on to refuse.
    fn broker_answers(&self) {
        if !self.barred.load(Ordering::Relaxed) {
            self.broker_serves();
        }
    }

    /// It gives this client what it wants: partitions, records.
    pub(super) fn broker_serves(&self) {
        self.barred.store(false, Ordering::Relaxed);
        self.refused.store(false, Ordering::Relaxed);
        self.told.store(0, Ordering::Relaxed);
        self.broker.holds();
    }

    pub(super) fn record_arrived(&self) {
        self.broker_serves();
        if self.topic_missing.swap(false, Ordering::Relaxed) {
            self.joined.holds();
        }
    }

    /// Until partitions are assigned or records arrive: the client looks for the topic again by itself.
    fn topic_missing(&self, code: RDKafkaErrorCode, error: &str) {
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

    /// Pauses what must be paused now, resumes the rest.
    pub(super) fn control(&self, consumer: &BaseConsumer<Self>) {
        let pauses = self.assignment.plan_pauses(PausePlan {
            all: self.pause_all.load(Ordering::Relaxed),
            full: self.full.load(Ordering::Relaxed),
            runnable_max: self.runnable_max,
            waiting_max: self.waiting_max,
        });
        self.apply(consumer, &pauses);
    }

    /// Tells the consumer.
    fn apply(&self, consumer: &BaseConsumer<Self>, pauses: &Pauses) {
        gauge!(metric::PARTITIONS_PAUSED).set(count(pauses.paused));
        for (partitions, result) in [
            (&pauses.pause, consumer.pause(&pauses.pause)),
            (&pauses.resume, consumer.resume(&pauses.resume)),
        ] {
            if let Err(error) = result {
                tracing::warn!(%error, ?partitions, "intake could not be paused or resumed");
            }
        }
        if pauses.pause.count() + pauses.resume.count() > 0 {
            let (paused, resumed) = (pauses.pause.count(), pauses.resume.count());
            tracing::debug!(paused, resumed, "intake");
        }
        for (topic, partition) in &pauses.crowded {
            tracing::warn!(
                topic = &**topic,
                partition,
                "the partition is paused: as many of its jobs wait (for a retry, their time, or another job of their \
                 key), or are finished behind one that is not, as one partition may have here"
            );
        }
    }

    /// A batch can't be read. The partition stands still before it; the others go on.
    fn corrupt(&self, reason: &str) {
        let offset = reason.split_once(" at offset ").and_then(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        });
        let Some((topic, partition)) = offset.and_then(|offset| self.assignment.fence(offset))
        else {
            // What follows from the damage: the client reads on from a place that is none.
            tracing::warn!(reason, "a batch can't be read");
            return;
        };
        tracing::error!(
            topic = &*topic,
            partition,
            offset,
            "the batch is corrupt, its checksum is wrong: the partition stands still before it, the others go on"
        );
        self.tell_corrupt();
    }

    /// Says which partitions can't be read on.
    pub(super) fn tell_corrupt(&self) {
        let corrupt = self.assignment.corrupt();
        gauge!(metric::PARTITIONS_CORRUPT).set(count(corrupt.len()));
        if corrupt.is_empty() {
            self.records.holds();
            return;
        }
        let places: Vec<_> = corrupt
            .iter()
            .map(|(topic, partition, offset)| {
                format!(
                    "topic {topic} partition {partition}: the batch at offset {offset} is corrupt"
                )
            })
            .collect();
        self.records.fails(format!(
            "{}; restore it from a replica, or skip it with kafka-consumer-groups.sh --reset-offsets",
            places.join("; ")
        ));
    }

    /// The end of a drain: commit → bump the epochs. `None`: of all partitions.
    pub(super) fn give_up(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: Option<&TopicPartitionList>,
    ) {
        self.assignment.apply_done(Duration::ZERO);
        self.commit(consumer);
        let unfinished = self.assignment.release(partitions);
        if unfinished > 0 {
            tracing::info!(
                unfinished,
                "partitions given up; their unfinished jobs come again elsewhere"
            );
        }
        self.sorting.ask();
    }

    /// Partitions are to be given up. With a cooperative protocol that takes its time while what is here of the others
    /// goes on and is committed: the group waits until [`Context::serve_leaving`] tells that they are. The library
    /// fetches nothing for this member until then, so the time is capped.
    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        if consumer.assignment_lost() {
            return self.lost(consumer, partitions);
        }
        counter!(metric::REBALANCES, "kind" => "revoked").increment(1);
        let deadline = Instant::now() + self.drain;
        self.assignment.stop_dispatch_of(partitions, deadline);
        let leaving = Leaving {
            partitions: partitions.clone(),
            request: self.sorting.ask(),
            deadline,
        };
        let is_cooperative = matches!(
            consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        if is_cooperative && !self.closing.load(Ordering::Relaxed) {
            let before = self.leaving().replace(leaving);
            // The client asks for one at a time; should it not, what came first is not forgotten.
            if let Some(before) = before {
                self.leave(consumer, &before.partitions);
            }
            return self.control(consumer);
        }
        while !self.has_left(&leaving) {
            self.pulse.beat();
            // Only the dispatcher is waited for, which needs nothing of this thread.
            self.assignment.apply_done(Duration::from_millis(20));
        }
        self.leave(consumer, partitions);
    }

    /// The end of a revocation.
    fn leave(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        self.give_up(consumer, Some(partitions));
        self.unassign(consumer, partitions);
    }

    /// Expelled: another member may own them already. Nothing can be committed, and late results must not count.
    fn lost(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        counter!(metric::REBALANCES, "kind" => "lost").increment(1);
        let unfinished = self.assignment.release(Some(partitions));
        tracing::warn!(
            partitions = partitions.count(),
            unfinished,
            "partitions lost"
        );
        self.sorting.ask();
        self.unassign(consumer, partitions);
    }

    /// Goes on with giving partitions up: once nothing of them is under way, or the time for it is over.
    pub(super) fn serve_leaving(&self, consumer: &BaseConsumer<Self>) {
        let mut slot = self.leaving();
        let Some(leaving) = slot.take() else {
            return;
        };
        if consumer.assignment_lost() {
            drop(slot);
            self.lost(consumer, &leaving.partitions);
        } else if self.has_left(&leaving) {
            drop(slot);
            self.leave(consumer, &leaving.partitions);
        } else {
            *slot = Some(leaving);
        }
    }

    /// Whether partitions are being given up.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving().is_some()
    }

    fn has_left(&self, leaving: &Leaving) -> bool {
        let idle = self.sorting.is_done(leaving.request)
            && self.assignment.in_flight_of(&leaving.partitions) == 0;
        idle || Instant::now() >= leaving.deadline
    }

    fn leaving(&self) -> MutexGuard<'_, Option<Leaving>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the group that the partitions are given up.
    pub(super) fn unassign(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let unassigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
        };
        if let Err(error) = unassigned {
            tracing::warn!(%error, "unassign");
        }
        self.rebalanced();
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let committed = match partitions.count() {
            0 => None,
            _ => self.committed(consumer, partitions),
        };
        self.assignment.acquire(partitions, committed.as_ref());
        let assigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(partitions),
        };
        if let Err(error) = assigned {
            tracing::error!(%error, "assign");
        }
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
        self.broker_serves();
        // librdkafka knows nothing of the pause when a partition is assigned for the first time, and remembers the
        // one of its last time here: without a word it would never be fetched from again.
        if let Err(error) = consumer.resume(partitions) {
            tracing::warn!(%error, "assigned partitions could not be resumed");
        }
        self.control(consumer);
        self.rebalanced();
    }

    fn rebalanced(&self) {
        let owned = self.assignment.count();
        self.owned.set(owned);
        gauge!(metric::PARTITIONS_ASSIGNED).set(count(owned));
        self.tell_corrupt();
        self.board.post(self.assignment.standings());
    }
}

/// Partitions that are being given up while the others go on.
pub(super) struct Leaving {
    partitions: TopicPartitionList,
    /// To the dispatcher, to sort out their jobs.
    request: u64,
    deadline: Instant,
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
            Some(
                code @ (RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed),
            ) => self.topic_missing(code, reason),
            Some(code) if kafka::is_refusal(code) => self.broker_fails(code, reason),
            Some(RDKafkaErrorCode::BadMessage) => self.corrupt(reason),
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
        // With KIP-848 a member that is given no partition is told nothing.
        if let Some(group) = &statistics.cgrp
            && group.state == "up"
            && self.broker_assigns
            && !self.topic_missing.load(Ordering::Relaxed)
        {
            self.joined.holds();
            // Nor is one whose brokers do not know the protocol: the client waits for good, and looks the same.
            let is_idle = group.rebalance_cnt == 0 && group.stateage >= IDLE_MS;
            if is_idle && !self.told_idle.swap(true, Ordering::Relaxed) {
                tracing::warn!("{NO_PARTITION}");
            }
        }
        for (topic, numbers) in &statistics.topics {
            for (id, partition) in &numbers.partitions {
                // With nothing left in its queue, all before that offset has been received.
                if *id >= 0 && partition.fetchq_cnt == 0 {
                    self.assignment.fetched(topic, *id, partition.next_offset);
                }
            }
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.assign(consumer, partitions);
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                self.revoke(consumer, partitions);
            }
            error => {
                tracing::warn!(error = %RDKafkaErrorCode::from(error), "rebalance");
                self.lost(consumer, partitions);
            }
        }
    }
}

/// A revocation must not take longer than half of the time after which the broker expels the member.
pub(super) fn max_revoke(client: &rdkafka::ClientConfig) -> Duration {
    let interval = client
        .get("max.poll.interval.ms")
        .and_then(|value| value.parse().ok())
        .unwrap_or(300_000);
    Duration::from_millis(interval / 2)
}
