//! The poll thread: the only one that touches the consumer.
//!
//! One OS thread polls a `BaseConsumer`. No `StreamConsumer` and no split partition queues: their wake-ups can be lost
//! (rust-rdkafka#638, #665, #840). A rebalance runs inside `poll`, so it runs here too and may block without stopping
//! an async runtime. Since this thread always polls, `max.poll.interval.ms` never notices a stuck job; each job's own
//! timeout and deadline do that.

mod assignment;
mod context;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mcp_runtime::Condition;
use metrics::{counter, gauge};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::assignment::{Assignment, Receipt};
use self::context::{Context, max_revoke};
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
            topic_missing: AtomicBool::new(false),
            refused: AtomicBool::new(false),
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
        self.context().record_arrived();
        let size = record.payload_len() + record.key_len();
        let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
        let receipt = self
            .context()
            .assignment
            .receive(topic, partition, offset, size);
        let ownership = match receipt {
            Receipt::Next(ownership) => ownership,
            Receipt::NotOwned => return,
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
                self.context().revoked.notify_one();
                self.context()
                    .commit_back(&self.consumer, topic, partition, offset);
                ownership
            }
        };
        let received = Received {
            // Copied out of librdkafka, so that its fetch buffer is not kept alive by one slow job.
            message: record.detach(),
            ownership,
        };
        // The channel holds what the flow lets in. It can be full for a moment when records of an assignment that is over
        // still stand in it; the dispatcher takes them out without needing this thread.
        let sent = match self.received.try_send(received) {
            Err(TrySendError::Full(received)) => self.received.blocking_send(received).is_ok(),
            sent => sent.is_ok(),
        };
        if !sent {
            self.fatal.raise("the dispatcher has ended");
        }
    }

    fn poll_failed(&self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            Some(RDKafkaErrorCode::Fatal) => self.raise_fatal(error),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => self.raise_fatal(error),
            Some(
                code @ (RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed),
            ) => self.context().topic_missing(code, error),
            // The error callback tells of these too, and one broker of several is no reason not to be ready.
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve,
            ) => {}
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
        let in_flight = context.assignment.in_flight();
        tracing::info!(in_flight, "draining: no further job is started");
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
