//! The worker, wired: every part with what it needs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use mcp_client::McpClient;
use mcp_core::Clock;
use mcp_runtime::{Conditions, trace_context};
use metrics::gauge;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::WorkerConfig;
use crate::engine::dispatcher::{Dispatcher, DispatcherLinks};
use crate::engine::intake::{Intake, IntakeConfig, IntakeLinks};
use crate::engine::observer::{Board, Observer};
use crate::engine::workshop::Workshop;
use crate::journal::{JobEvent, Journal, count};
use crate::metric_definitions;
use crate::outbox::Outbox;
use crate::signals::{Fatal, Holds, Owned, Pulse, Sorting};

/// What closing may take on top of the drain: the last commit, leaving the group.
const CLOSE: Duration = Duration::from_secs(4);

/// Longest wait for a connection to the server.
const CONNECT: Duration = Duration::from_secs(5);

/// A worker that is ready to run.
pub struct Worker {
    intake: Intake,
    dispatcher: Dispatcher,
    observer: Observer,
    fatal: Fatal,
    stop: CancellationToken,
    drain: Duration,
    conditions: Conditions,
}

impl Worker {
    /// Wires a worker. It connects when it runs. `live` and `ready` tell how it is; `listener` is told what happens to
    /// jobs.
    ///
    /// # Errors
    /// A setting that a client library refuses.
    pub fn new(
        config: WorkerConfig,
        live: &Conditions,
        ready: &Conditions,
        stop: CancellationToken,
        listener: Option<mpsc::Sender<JobEvent>>,
    ) -> anyhow::Result<Self> {
        metric_definitions::describe();
        gauge!(metric_definitions::CONCURRENCY).set(count(config.concurrency));
        let holds = Holds::default();
        let fatal = Fatal::default();
        let outbox = Outbox::new(
            &config.connection,
            &config.client_id,
            config.dead_letter_topics,
            config.result_topic,
            ready.register("outbox", "starting"),
            holds.clone(),
            fatal.clone(),
        )?;
        let client = McpClient::builder(config.server_url)
            .api_key(config.api_key)
            .concurrency(config.concurrency)
            // Below the time for a call, so that a host that does not answer shows as unreachable.
            .connect_timeout(CONNECT.min(config.call_timeout / 2))
            .propagation(trace_context::inject)
            .tool_error_default_retry(config.retry_tool_errors)
            .build()
            .context("the HTTP client")?;
        let pulse = Pulse::default();
        let workshop = Arc::new(Workshop {
            client,
            outbox,
            journal: Journal::new(config.client_id.clone(), listener),
            retry: config.retry,
            call_timeout: config.call_timeout,
            deadline: config.deadline,
            group: config.group.clone(),
            clock: Clock::System,
            pulse: pulse.clone(),
        });
        // Enough for every permit and a queue behind it, so that no permit waits for the poll thread.
        let records_max = (config.concurrency * 2).clamp(512, 16_384);
        let (received_to, received) = mpsc::channel(16);
        let (done, done_from) = std::sync::mpsc::channel();
        let (sorting, owned) = (Sorting::default(), Owned::default());
        let dispatcher = Dispatcher::new(DispatcherLinks {
            workshop,
            concurrency: config.concurrency,
            ordering: config.ordering,
            received,
            done,
            sorting: sorting.clone(),
            owned: owned.clone(),
            dead_letters_per_minute: config.dead_letters_per_minute,
            server: ready.register("server", "starting"),
            budget: ready.register("budget", "starting"),
            holds: holds.clone(),
        });
        let board = Board::default();
        let observer = Observer::new(
            &config.connection,
            &config.client_id,
            &config.group,
            config.stall,
            board.clone(),
            holds.clone(),
            (
                live.register("progress", "starting"),
                ready.register("progress", "starting"),
            ),
        )?;
        let intake = Intake::new(
            IntakeConfig {
                connection: &config.connection,
                client_id: &config.client_id,
                group: &config.group,
                topics: &config.topics,
                records_max,
                waiting_max: config.waiting_max,
                drain: config.drain,
            },
            IntakeLinks {
                received: received_to,
                done: done_from,
                sorting,
                owned,
                pulse,
                joined: ready.register("group", "the consumer group is not joined yet"),
                broker: ready.register("broker", "starting"),
                records: ready.register("records", "starting"),
                commits: ready.register("commits", "starting"),
                board,
                holds,
                fatal: fatal.clone(),
                stop: stop.clone(),
            },
        )?;
        Ok(Self {
            intake,
            dispatcher,
            observer,
            fatal,
            stop,
            drain: config.drain,
            conditions: ready.clone(),
        })
    }

    /// Runs until told to stop, then drains.
    ///
    /// # Errors
    /// The failure that only a new process can cure, or a drain that did not come to its end.
    pub async fn run(self) -> anyhow::Result<()> {
        let stopping = self.conditions.register("stopping", "");
        stopping.holds();
        let dispatcher = tokio::spawn(self.dispatcher.run());
        let (ended, mut end) = tokio::sync::oneshot::channel();
        let intake = self.intake;
        std::thread::Builder::new()
            .name("kafka-poll".into())
            .spawn(move || {
                intake.run();
                let _ = ended.send(());
            })?;
        let (observer, stop) = (self.observer, self.stop.clone());
        std::thread::Builder::new()
            .name("kafka-observer".into())
            .spawn(move || observer.run(&stop))?;
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.fatal.raised() => {}
            _ = &mut end => anyhow::bail!("the poll thread has ended: see the log"),
        }
        stopping.fails("the worker is stopping");
        if let Some(reason) = self.fatal.reason() {
            anyhow::bail!("{reason}");
        }
        // The poll thread drains by its own cap; a client library that hangs on closing must not hang the process.
        tokio::time::timeout(self.drain + CLOSE, end)
            .await
            .context("the drain did not come to its end in time")?
            .context("the poll thread has ended: see the log")?;
        if let Some(reason) = self.fatal.reason() {
            anyhow::bail!("{reason}");
        }
        dispatcher.await.context("the dispatcher failed")
    }
}
