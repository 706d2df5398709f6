//! The poll thread: the only one that touches the consumer.
//!
//! One OS thread polls a `BaseConsumer`. No `StreamConsumer` and no split partition queues: their wake-ups can be lost
//! (rust-rdkafka#638, #665, #840). A rebalance runs inside `poll`, so it runs here too and may block without stopping
//! an async runtime. Since this thread always polls, `max.poll.interval.ms` never notices a stuck job; each job's own
//! timeout and deadline do that.

mod assignment;

use std::sync::Arc;
use std::time::Duration;

use mcp_runtime::Condition;
use metrics::{counter, gauge};
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, RebalanceProtocol,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientContext, Message, Statistics, TopicPartitionList};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::assignment::Assignment;
use super::dispatcher::{Done, Received};
use super::flow::{Change, Flow};
use crate::journal::count;
use crate::kafka::{self, Connection};
use crate::metric_definitions as metric;
use crate::signals::{Fatal, Holds};

/// Longest wait for a record; also how soon a stop or a hold is noticed.
const POLL: Duration = Duration::from_millis(50);
/// At most one commit in this time.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// How long a full engine is waited for before partitions are paused: pausing throws the prefetched records away
/// (librdkafka#2703), so it is for stretches longer than this.
const PATIENCE: Duration = Duration::from_millis(200);
/// Bytes received and not finished that pause intake.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// What the poll thread is told and whom it tells.
pub struct Intake {
    consumer: BaseConsumer<Context>,
    received: mpsc::Sender<Received>,
    holds: Holds,
    fatal: Fatal,
    stop: CancellationToken,
    drain: Duration,
    last_commit: Instant,
    full_since: Option<Instant>,
}

/// Settings of the consumer.
pub struct IntakeConfig<'a> {
    /// The brokers.
    pub connection: &'a Connection,
    /// The client id.
    pub client_id: &'a str,
    /// The group.
    pub group: &'a str,
    /// The topics.
    pub topics: &'a [String],
    /// Most records received and not finished.
    pub records_max: usize,
    /// Longest wait for jobs in flight when partitions are given up.
    pub drain: Duration,
}

/// Ends of the channels and the signals.
pub struct IntakeLinks {
    /// To the dispatcher; its capacity must be `records_max` or more.
    pub received: mpsc::Sender<Received>,
    /// From the dispatcher.
    pub done: std::sync::mpsc::Receiver<Done>,
    /// Wakes the dispatcher to drop the jobs of revoked partitions.
    pub revoked: Arc<Notify>,
    /// Whether the group has been joined.
    pub joined: Condition,
    /// Whether the broker can be used.
    pub broker: Condition,
    /// Reasons to take no records.
    pub holds: Holds,
    /// What ends the process.
    pub fatal: Fatal,
    /// Asks for the drain.
    pub stop: CancellationToken,
}

impl Intake {
    /// Makes the consumer and subscribes; it connects in the background.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(config: IntakeConfig<'_>, links: IntakeLinks) -> anyhow::Result<Self> {
        let defaults = [
            ("group.id", config.group),
            // Offsets are stored only behind finished jobs, and committed from what is stored.
            ("enable.auto.offset.store", "false"),
            ("enable.auto.commit", "false"),
            // A group that has never committed must not skip the jobs that wait already.
            ("auto.offset.reset", "earliest"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            // The defaults prefetch up to 64 MiB; intake has its own bound behind it.
            ("queued.min.messages", "2000"),
            ("queued.max.messages.kbytes", "16384"),
            ("statistics.interval.ms", "5000"),
            // Records of aborted transactions are no jobs.
            ("isolation.level", "read_committed"),
        ];
        let mut client = config.connection.client_config(config.client_id, &defaults);
        if client.get("group.protocol") == Some("consumer") {
            // KIP-848: the broker assigns; librdkafka refuses to start with this property set.
            client.remove("partition.assignment.strategy");
        }
        let context = Context {
            assignment: Assignment::new(links.done, Flow::new(config.records_max, BYTES_MAX)),
            drain: config.drain.min(max_revoke(&client)),
            revoked: links.revoked,
            joined: links.joined,
            broker: links.broker,
            fatal: links.fatal.clone(),
        };
        context.broker.holds();
        let consumer: BaseConsumer<Context> = client
            .create_with_context(context)
            .map_err(|error| kafka::creation_error(&error))?;
        let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        Ok(Self {
            consumer,
            received: links.received,
            holds: links.holds,
            fatal: links.fatal,
            stop: links.stop,
            drain: config.drain,
            last_commit: Instant::now(),
            full_since: None,
        })
    }

    /// Polls until told to stop, then drains. Blocks; give it a thread of its own.
    pub fn run(mut self) {
        while !self.stop.is_cancelled() && self.fatal.reason().is_none() {
            self.context().assignment.apply_done(Duration::ZERO);
            self.control_flow();
            self.commit_if_due();
            match self.consumer.poll(self.poll_time()) {
                Some(Ok(record)) => self.receive(&record),
                Some(Err(error)) => self.poll_failed(&error),
                None => {}
            }
        }
        if self.fatal.reason().is_none() {
            self.drain_all();
        }
        // Leaves the group, so that the others take over at once. Dropping polls until the consumer is closed
        // (rust-rdkafka#611); the process has a hard limit for that.
        drop(self.consumer);
    }

    fn context(&self) -> &Context {
        self.consumer.context()
    }

    fn receive(&self, record: &BorrowedMessage<'_>) {
        counter!(metric::CONSUMED, "topic" => record.topic().to_owned()).increment(1);
        self.context().broker.holds();
        let size = record.payload_len() + record.key_len();
        let owner = self.context().assignment.receive(
            record.topic(),
            record.partition(),
            record.offset(),
            size,
        );
        let Some(ownership) = owner else {
            return;
        };
        let received = Received {
            // Copied out of librdkafka, so that its fetch buffer is not kept alive by one slow job.
            message: record.detach(),
            ownership,
        };
        if self.received.try_send(received).is_err() {
            // The channel holds more than the flow lets in, so it is closed: the dispatcher is gone.
            self.fatal.raise("the dispatcher has ended");
        }
    }

    fn poll_failed(&self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            Some(RDKafkaErrorCode::Fatal) => self.raise_fatal(error),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => self.raise_fatal(error),
            Some(
                code @ (RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic),
            ) => {
                self.context().broker_fails(
                    code,
                    &format!("a topic of KAFKA_TOPIC does not exist: {error}"),
                );
            }
            Some(code) => self.context().broker_fails(code, &error.to_string()),
            None => tracing::warn!(%error, "poll"),
        }
    }

    /// Fenced, or a defect of the client (KIP-848 in librdkafka 2.12 after `max.poll.interval.ms`): nothing can be
    /// committed any more, and only a new process helps.
    fn raise_fatal(&self, error: &KafkaError) {
        let reason = self
            .consumer
            .client()
            .fatal_error()
            .map_or_else(|| error.to_string(), |(_, reason)| reason);
        self.fatal
            .raise(format!("the consumer is fenced or broken: {reason}"));
    }

    fn control_flow(&mut self) {
        let (records, bytes) = self.context().assignment.totals();
        gauge!(metric::UNFINISHED).set(count(records));
        gauge!(metric::UNFINISHED_BYTES).set(count(bytes));
        let full = self.context().assignment.flow().is_full(records, bytes);
        self.full_since = match (full, self.full_since) {
            (true, since) => Some(since.unwrap_or_else(Instant::now)),
            (false, _) => None,
        };
        let hold = self.holds.any();
        if self.is_waiting() && !hold {
            return;
        }
        let change = self
            .context()
            .assignment
            .flow()
            .update(records, bytes, hold);
        if let Some(change) = change {
            self.context().apply(&self.consumer, change);
        }
    }

    /// Whether the engine is full, but not for long yet.
    fn is_waiting(&self) -> bool {
        self.full_since
            .is_some_and(|since| since.elapsed() < PATIENCE)
            && !self.context().assignment.flow().is_paused()
    }

    /// While the engine is full and partitions are not paused, `poll` would bring another record: jobs are waited for
    /// instead, and the group is served in between once patience ends.
    fn poll_time(&self) -> Duration {
        if self.is_waiting() {
            while self.is_waiting() && self.context().assignment.is_full() {
                self.context()
                    .assignment
                    .apply_done(Duration::from_millis(5));
            }
            return Duration::ZERO;
        }
        POLL
    }

    fn commit_if_due(&mut self) {
        if self.last_commit.elapsed() < COMMIT_INTERVAL {
            return;
        }
        self.last_commit = Instant::now();
        self.context().store(&self.consumer);
        // Also when nothing is new: rdkafka tells no one how an asynchronous commit ended (its event queue has no
        // handler for it), and during a rebalance the coordinator refuses commits. What is stored and not committed
        // goes out again; where all is committed, nothing is sent.
        self.context().commit(&self.consumer, CommitMode::Async);
    }

    /// SIGTERM: stop dispatch → finish or give up by the cap → store → commit → bump the epochs → unassign.
    fn drain_all(&self) {
        let context = self.context();
        let deadline = Instant::now() + self.drain;
        context.apply(&self.consumer, Change::Pause);
        context.assignment.stop_dispatch();
        context.revoked.notify_one();
        // Polling goes on with all partitions paused: the group must not think that this member is gone. A revocation
        // meanwhile drains its part inside `poll`. What a paused partition still delivers was not counted in.
        while context.assignment.in_flight() > 0 && Instant::now() < deadline {
            context.assignment.apply_done(Duration::from_millis(20));
            let _ = self.consumer.poll(Duration::ZERO);
        }
        context.give_up(&self.consumer, None);
        let unassigned = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self
                .consumer
                .assignment()
                .and_then(|assigned| self.consumer.incremental_unassign(&assigned)),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.unassign(),
        };
        if let Err(error) = unassigned {
            tracing::warn!(%error, "unassign");
        }
    }
}

/// A revocation blocks this thread: never longer than half of the time after which the broker expels the member.
fn max_revoke(client: &rdkafka::ClientConfig) -> Duration {
    let interval = client
        .get("max.poll.interval.ms")
        .and_then(|value| value.parse().ok())
        .unwrap_or(300_000);
    Duration::from_millis(interval / 2)
}

/// The consumer's callbacks, all on the poll thread, inside `poll`.
struct Context {
    assignment: Assignment,
    drain: Duration,
    revoked: Arc<Notify>,
    joined: Condition,
    broker: Condition,
    fatal: Fatal,
}

impl Context {
    fn broker_fails(&self, code: RDKafkaErrorCode, reason: &str) {
        let reason = if kafka::is_refusal(code) {
            format!("the broker refuses this client, check its credentials and ACLs: {reason}")
        } else {
            reason.to_owned()
        };
        if self.broker.fails(&reason) {
            tracing::error!(?code, "{reason}");
        }
    }

    /// Pauses or resumes every assigned partition.
    fn apply(&self, consumer: &BaseConsumer<Self>, change: Change) {
        let result = consumer.assignment().and_then(|assigned| {
            let paused = change == Change::Pause;
            gauge!(metric::PARTITIONS_PAUSED).set(if paused {
                count(assigned.count())
            } else {
                0.0
            });
            match change {
                Change::Pause => consumer.pause(&assigned),
                Change::Resume => consumer.resume(&assigned),
            }
        });
        match result {
            Ok(()) => tracing::debug!(?change, "intake"),
            Err(error) => tracing::warn!(%error, ?change, "intake"),
        }
    }

    /// Hands the committable offsets that have moved to librdkafka, which commits them later.
    fn store(&self, consumer: &BaseConsumer<Self>) {
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

    fn commit(&self, consumer: &BaseConsumer<Self>, mode: CommitMode) {
        match consumer.commit_consumer_state(mode) {
            Ok(()) => {}
            // Nothing new is stored: that is a success.
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
            // `RebalanceInProgress`, `IllegalGeneration`: the next commit carries what is stored, or the next owner
            // processes the records again.
            Err(error) => tracing::warn!(%error, ?mode, "offsets were not committed"),
        }
    }

    /// The end of a drain: store → commit → bump the epochs. `None`: of all partitions.
    fn give_up(&self, consumer: &BaseConsumer<Self>, partitions: Option<&TopicPartitionList>) {
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
            self.broker.holds();
        }
        for (topic, numbers) in &statistics.topics {
            for (id, partition) in &numbers.partitions {
                // -1 is unknown: not fetched yet, or not assigned.
                let lag = partition.consumer_lag_stored.max(partition.consumer_lag);
                if *id >= 0 && lag >= 0 && self.assignment.owns(topic, *id) {
                    let lag = usize::try_from(lag).unwrap_or_default();
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
            self.joined.holds();
            // librdkafka forgets the pause of a partition that is assigned anew.
            if self.assignment.flow().is_paused() {
                self.apply(consumer, Change::Pause);
            }
        }
        if self.fatal.reason().is_some() {
            tracing::debug!("rebalance while the process ends");
        }
    }
}
