//! The poll thread: the only one that touches the consumer, but for the commits (`committing`).
//!
//! One OS thread polls a `BaseConsumer`. No `StreamConsumer` and no split partition queues: their wake-ups can be lost
//! (rust-rdkafka#638, #665, #840). A rebalance runs inside `poll`, so it runs here too and may block without stopping
//! an async runtime. Since this thread always polls, `max.poll.interval.ms` never notices a stuck job; each job's own
//! timeout and deadline do that.

mod assignment;
mod committing;
mod context;
mod receiving;

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use mcp_runtime::Condition;
use metrics::{Counter, counter, gauge};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::assignment::Assignment;
use self::context::{Context, max_revoke};
use super::dispatcher::{Done, Received};
use super::flow::{Gate, Load};
use super::job;
use super::observer::Board;
use crate::journal::count;
use crate::kafka::{self, Connection};
use crate::metric_definitions as metric;
use crate::mutation::{self, Mutation};
use crate::signals::{Fatal, Holds, Owned, Pulse, Sorting};

/// Longest wait for a record; also how soon a stop or a hold is noticed.
const POLL: Duration = Duration::from_millis(50);
/// The same while partitions are being given up.
const LEAVING_POLL: Duration = Duration::from_millis(5);
/// Between two tellings of how the partitions stand.
const BOARD_INTERVAL: Duration = Duration::from_millis(600);
/// How long the last commit may take, if the drain has used up its time.
const LAST_COMMIT: Duration = Duration::from_secs(2);
/// How long a full engine is waited for before partitions are paused: pausing throws the prefetched records away
/// (librdkafka#2703), so it is for stretches longer than this.
const PATIENCE: Duration = Duration::from_millis(200);
/// Between two looks at a full engine.
const BREATH: Duration = Duration::from_millis(2);
/// Bytes of records that could run, and of those that wait: at either intake pauses.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Records that are handed over at once, and their bytes: by so much the bounds can be passed between two looks at them.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 1024 * 1024;
/// Between two looks at the bounds, unless records come.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What the poll thread is told and whom it tells.
pub struct Intake {
    consumer: Arc<BaseConsumer<Context>>,
    /// Ends the committing thread once it is dropped.
    closing: Sender<()>,
    committing: JoinHandle<()>,
    received: mpsc::Sender<Vec<Received>>,
    batch: Vec<Received>,
    batch_bytes: usize,
    consumed: Vec<(String, Counter)>,
    holds: Holds,
    fatal: Fatal,
    stop: CancellationToken,
    drain: Duration,
    gate: Gate,
    last_post: Instant,
    last_look: Instant,
    came: bool,
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
    /// Most records that could run.
    pub records_max: usize,
    /// Most records that wait.
    pub waiting_max: usize,
    /// Longest wait for jobs in flight when partitions are given up.
    pub drain: Duration,
}

/// Ends of the channels and the signals.
pub struct IntakeLinks {
    /// To the dispatcher, in batches.
    pub received: mpsc::Sender<Vec<Received>>,
    /// From the dispatcher.
    pub done: std::sync::mpsc::Receiver<Done>,
    /// Asks the dispatcher to sort out the jobs of partitions that are being given up.
    pub sorting: Sorting,
    /// Told how many partitions are owned.
    pub owned: Owned,
    /// Beaten whenever this thread comes round.
    pub pulse: Pulse,
    /// Whether the group has been joined.
    pub joined: Condition,
    /// Whether the broker can be used.
    pub broker: Condition,
    /// Whether the records can be read.
    pub records: Condition,
    /// Whether offsets can be committed.
    pub commits: Condition,
    /// Where it tells how the partitions stand.
    pub board: Board,
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
    /// A property that librdkafka refuses, or no thread.
    pub fn new(config: IntakeConfig<'_>, links: IntakeLinks) -> anyhow::Result<Self> {
        let defaults = [
            ("group.id", config.group),
            // Offsets are committed by name, behind finished jobs.
            ("enable.auto.offset.store", "false"),
            ("enable.auto.commit", "false"),
            // A group that has never committed must not skip the jobs that wait already.
            ("auto.offset.reset", "earliest"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            // The defaults prefetch up to 64 MiB, and librdkafka takes half a kilobyte more for each record. Intake has
            // its own queue behind it, so this one has only to bridge the next fetch.
            ("queued.min.messages", "500"),
            ("queued.max.messages.kbytes", "8192"),
            ("fetch.message.max.bytes", "262144"),
            // It looks again after a second by default when its queue was full, and has run dry long before.
            ("fetch.queue.backoff.ms", "5"),
            ("statistics.interval.ms", "5000"),
            // A damaged record must not run as another job.
            ("check.crcs", "true"),
            // Records of aborted transactions are no jobs.
            ("isolation.level", "read_committed"),
        ];
        let mut client = config.connection.client_config(config.client_id, &defaults);
        let broker_assigns = client.get("group.protocol") == Some("consumer");
        if broker_assigns {
            // KIP-848: the broker assigns; librdkafka refuses to start with this property set.
            client.remove("partition.assignment.strategy");
        }
        let drain = match mutation::is(Mutation::DrainSkipped) {
            true => Duration::ZERO,
            false => config.drain,
        };
        let context = Context {
            assignment: Assignment::new(links.done),
            drain: drain.min(max_revoke(&client)),
            sorting: links.sorting,
            owned: links.owned,
            pulse: links.pulse,
            joined: links.joined,
            broker: links.broker,
            records: links.records,
            broker_assigns,
            told_idle: AtomicBool::new(false),
            board: links.board,
            waiting_max: Load {
                records: config.waiting_max,
                bytes: BYTES_MAX,
            },
            runnable_max: Load {
                records: config.records_max,
                bytes: BYTES_MAX,
            },
            full: AtomicBool::new(false),
            leaving: Mutex::default(),
            closing: AtomicBool::new(false),
            pause_all: AtomicBool::new(false),
            from_earliest: matches!(
                client.get("auto.offset.reset"),
                Some("earliest" | "smallest" | "beginning")
            ),
            commits: links.commits,
            committing: Mutex::default(),
            topic_missing: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            told: AtomicI32::new(0),
            barred: AtomicBool::new(false),
        };
        context.broker.holds();
        context.records.holds();
        context.commits.holds();
        let consumer: BaseConsumer<Context> = client
            .create_with_context(context)
            .map_err(|error| kafka::creation_error(&error))?;
        let topics: Vec<&str> = config.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
        let consumer = Arc::new(consumer);
        let (closing, closed) = std::sync::mpsc::channel();
        let committing = {
            let consumer = Arc::clone(&consumer);
            std::thread::Builder::new()
                .name("kafka-commit".into())
                .spawn(move || committing::run(&consumer, &closed))?
        };
        Ok(Self {
            consumer,
            closing,
            committing,
            received: links.received,
            batch: Vec::new(),
            batch_bytes: 0,
            consumed: config
                .topics
                .iter()
                .map(|topic| {
                    let consumed = counter!(metric::CONSUMED, "topic" => topic.clone());
                    (topic.clone(), consumed)
                })
                .collect(),
            holds: links.holds,
            fatal: links.fatal,
            stop: links.stop,
            drain,
            gate: Gate::default(),
            last_post: Instant::now(),
            last_look: Instant::now(),
            came: false,
            full_since: None,
        })
    }

    /// Polls until told to stop, then drains. Blocks; give it a thread of its own.
    pub fn run(mut self) {
        while !self.stop.is_cancelled() && self.fatal.reason().is_none() {
            self.context().pulse.beat();
            self.context().assignment.apply_done(Duration::ZERO);
            self.context().serve_leaving(&self.consumer);
            self.control_flow();
            self.post_if_due();
            // What there is already comes along: one wake-up of the dispatcher serves all of it.
            let mut wait = self.poll_time();
            while self.poll(wait) && self.batch.len() < BATCH && self.batch_bytes < BATCH_BYTES {
                wait = Duration::ZERO;
            }
            self.hand_over();
        }
        if self.fatal.reason().is_none() {
            self.drain_all();
        }
        self.context().closing.store(true, Ordering::Relaxed);
        drop(self.closing);
        if self.committing.join().is_err() {
            tracing::error!("the committing thread has failed");
        }
        // Leaves the group, so that the others take over at once. Dropping polls until the consumer is closed
        // (rust-rdkafka#611); the process has a hard limit for that.
        drop(self.consumer);
    }

    fn context(&self) -> &Context {
        self.consumer.context()
    }

    /// Polls once; whether a record came.
    fn poll(&mut self, wait: Duration) -> bool {
        let received = match self.consumer.poll(wait) {
            Some(Ok(record)) => {
                let bytes = job::size(&record);
                self.batch_bytes += bytes;
                self.receive(&record, bytes)
            }
            Some(Err(error)) => {
                self.poll_failed(&error);
                return false;
            }
            None => return false,
        };
        self.batch.extend(received);
        true
    }

    fn hand_over(&mut self) {
        self.batch_bytes = 0;
        if self.batch.is_empty() {
            return;
        }
        self.came = true;
        let batch = std::mem::take(&mut self.batch);
        // The channel can be full for a moment; the dispatcher takes it out without needing this thread.
        let sent = match self.received.try_send(batch) {
            Err(TrySendError::Full(batch)) => self.received.blocking_send(batch).is_ok(),
            sent => sent.is_ok(),
        };
        if !sent {
            self.fatal.raise("the dispatcher has ended");
        }
    }

    fn poll_failed(&self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => self.raise_fatal(error),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => self.raise_fatal(error),
            // The error callback has told of these: only there stands which topic or offset it is about. And one broker of
            // several that can't be reached is no reason not to be ready.
            Some(
                RDKafkaErrorCode::PartitionEOF
                | RDKafkaErrorCode::BadMessage
                | RDKafkaErrorCode::NotImplemented
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::AllBrokersDown
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
        let came = std::mem::take(&mut self.came);
        if !came && self.last_look.elapsed() < LOOK_INTERVAL {
            return;
        }
        self.last_look = Instant::now();
        let loads = self.context().assignment.loads();
        gauge!(metric::UNFINISHED).set(count(loads.unfinished.records));
        gauge!(metric::UNFINISHED_BYTES).set(count(loads.unfinished.bytes));
        gauge!(metric::WAITING).set(count(loads.waiting.records));
        self.full_since = match loads.runnable().reaches(self.context().runnable_max) {
            true => Some(self.full_since.unwrap_or(self.last_look)),
            false => None,
        };
        let hold = self.holds.any();
        if !self.is_patient() {
            let limit = self.context().runnable_max;
            self.gate.update(loads.runnable(), limit);
        }
        let context = self.context();
        context.pause_all.store(hold, Ordering::Relaxed);
        context.full.store(self.gate.is_closed(), Ordering::Relaxed);
        context.control(&self.consumer);
    }

    /// Whether the engine is full, but not for long yet.
    fn is_patient(&self) -> bool {
        self.full_since
            .is_some_and(|since| since.elapsed() < PATIENCE)
            && !self.gate.is_closed()
    }

    /// While the engine is full and partitions are not paused, `poll` would bring another record: jobs are waited for
    /// instead, in breaths, because one wake-up for each of them costs as much as the job's call, and the group is served in between once patience ends.
    fn poll_time(&mut self) -> Duration {
        if !self.is_patient() || self.context().pause_all.load(Ordering::Relaxed) {
            return match self.context().is_leaving() {
                true => LEAVING_POLL,
                false => POLL,
            };
        }
        while self.is_patient() {
            let context = self.context();
            let assignment = &context.assignment;
            if !assignment.loads().runnable().reaches(context.runnable_max) {
                // It drains: patience begins anew when it is full again.
                self.full_since = None;
                break;
            }
            std::thread::park_timeout(BREATH);
            assignment.apply_done(Duration::ZERO);
        }
        Duration::ZERO
    }

    fn post_if_due(&mut self) {
        if self.last_post.elapsed() < BOARD_INTERVAL {
            return;
        }
        self.last_post = Instant::now();
        let context = self.context();
        context.board.post(context.assignment.standings());
        for (topic, partition, begin) in context.assignment.unbegun(self.last_post) {
            self.begin_at(&topic, partition, begin);
        }
    }

    /// SIGTERM: stop dispatch → finish or give up by the cap → commit → bump the epochs → unassign.
    fn drain_all(&self) {
        let context = self.context();
        let deadline = Instant::now() + self.drain;
        context.pause_all.store(true, Ordering::Relaxed);
        context.control(&self.consumer);
        context.assignment.stop_dispatch(deadline);
        let request = context.sorting.ask();
        let in_flight = context.assignment.in_flight();
        tracing::info!(
            in_flight,
            "draining: no further job is started, other than those below one that was"
        );
        // Polling goes on with all partitions paused: the group must not think that this member is gone. A revocation
        // meanwhile is served as well. What a paused partition still delivers was not counted in.
        while !(context.sorting.is_done(request) && context.assignment.in_flight() == 0)
            && Instant::now() < deadline
        {
            context.pulse.beat();
            context.assignment.apply_done(Duration::from_millis(20));
            context.serve_leaving(&self.consumer);
            let _ = self.consumer.poll(Duration::ZERO);
        }
        // In the middle of a rebalance the coordinator takes no commit, and without this one all that was finished since
        // the last would come again: the rebalance is served to its end first.
        let deadline = deadline.max(Instant::now() + LAST_COMMIT);
        loop {
            context.assignment.apply_done(Duration::ZERO);
            if context.commit(&self.consumer) || Instant::now() >= deadline {
                break;
            }
            context.serve_leaving(&self.consumer);
            let _ = self.consumer.poll(POLL);
        }
        context.give_up(&self.consumer, None);
        match self.consumer.assignment() {
            Ok(assigned) => context.unassign(&self.consumer, &assigned),
            Err(error) => tracing::warn!(%error, "unassign"),
        }
    }
}
