//! Carries the plan out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcp_testkit::{KafkaClient, KafkaCluster};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::Instant;

use super::fleet::{Recruiter, Worker};
use super::history::{Micros, Recorder, Trouble};
use super::link::Link;
use super::plan::{Action, Outage, Passage, Plan};
use super::stub::Stub;

/// How soon an exit is noticed.
const TICK: Duration = Duration::from_millis(20);

/// The dead-letter topic as it should be: the broker says when a letter was appended.
pub(crate) const LETTERS: [(&str, &str); 1] = [("message.timestamp.type", "LogAppendTime")];
/// The same, refusing whatever is older than no time at all.
const LETTERS_REFUSED: [(&str, &str); 3] = [
    ("message.timestamp.type", "CreateTime"),
    ("message.timestamp.before.max.ms", "0"),
    ("message.timestamp.after.max.ms", "0"),
];

/// Everything that the plan works on.
pub(crate) struct Director<'a> {
    pub(crate) recorder: Recorder,
    pub(crate) recruiter: Recruiter,
    pub(crate) stub: Arc<Stub>,
    pub(crate) cluster: Arc<Mutex<KafkaCluster>>,
    pub(crate) client: KafkaClient,
    pub(crate) kafka_links: &'a [Link],
    pub(crate) letters: String,
    /// What a worker has for its drain.
    pub(crate) drain: Duration,
    pub(crate) workers: HashMap<usize, Worker>,
    /// Told to stop, at that time.
    pub(crate) leaving: Vec<(Worker, Instant)>,
    pub(crate) since: Since,
    pub(crate) restarts: Vec<JoinHandle<()>>,
    /// Where logs go, if anywhere.
    pub(crate) logs: Option<PathBuf>,
}

/// When what goes on began.
#[derive(Default)]
pub(crate) struct Since {
    kafka: Option<Micros>,
    server: HashMap<u16, Micros>,
    outage: Option<(Outage, Micros)>,
    brokers: HashMap<usize, Micros>,
}

impl Director<'_> {
    /// Carries the plan out, and waits until that much time has passed.
    pub(crate) async fn perform(&mut self, plan: &Plan, duration: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        for (at, action) in &plan.0 {
            self.attend_until(began + Duration::from_millis(*at))
                .await?;
            self.act(*action).await?;
        }
        self.attend_until(began + duration).await
    }

    /// Mends everything.
    pub(crate) async fn calm(&mut self) -> anyhow::Result<()> {
        for slot in self.workers.keys().copied().collect::<Vec<_>>() {
            self.act(Action::Continue(slot)).await?;
            self.act(Action::Server(slot, Passage::Open)).await?;
        }
        self.act(Action::Kafka(Passage::Open)).await?;
        self.act(Action::Outage(None)).await?;
        self.act(Action::LettersWritable(true)).await?;
        for node in self.since.brokers.keys().copied().collect::<Vec<_>>() {
            self.act(Action::StartBroker(node)).await?;
        }
        for restart in self.restarts.drain(..) {
            restart.await?;
        }
        Ok(())
    }

    /// Notices exits until then.
    pub(crate) async fn attend_until(&mut self, until: Instant) -> anyhow::Result<()> {
        loop {
            self.attend().await?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(TICK.min(left)).await;
        }
    }

    async fn attend(&mut self) -> anyhow::Result<()> {
        let now = self.recorder.now();
        let mut index = 0;
        while let Some((worker, told)) = self.leaving.get_mut(index) {
            let Some(status) = worker.process.exited() else {
                index += 1;
                continue;
            };
            let took = told.elapsed();
            if !status.success() || took + Duration::from_millis(200) > self.drain {
                let from = now.saturating_sub(micros(took));
                self.recorder
                    .incident(Trouble::DrainCutOff, vec![worker.instance], from, now);
                self.recorder.deed("drains cut off");
            }
            let (worker, _) = self.leaving.swap_remove(index);
            self.keep_log(&worker);
        }
        let mut ended = Vec::new();
        for (slot, worker) in &mut self.workers {
            if let Some(status) = worker.process.exited() {
                let lines = worker.process.output();
                let last = lines[lines.len().saturating_sub(3)..].join(" | ");
                super::say(&format!(
                    "w{} ended by itself with {status}: {last}",
                    worker.instance
                ));
                self.recorder
                    .incident(Trouble::Killed, vec![worker.instance], now, now);
                ended.push(*slot);
            }
        }
        // As an orchestrator would.
        for slot in ended {
            self.recorder.deed("workers that ended by themselves");
            let worker = self.recruiter.start().await?;
            if let Some(ended) = self.workers.insert(slot, worker) {
                self.keep_log(&ended);
            }
        }
        Ok(())
    }

    async fn act(&mut self, action: Action) -> anyhow::Result<()> {
        let now = self.recorder.now();
        match action {
            Action::Start(slot) => {
                if !self.workers.contains_key(&slot) {
                    let worker = self.recruiter.start().await?;
                    self.workers.insert(slot, worker);
                    self.recorder.deed("workers started");
                }
            }
            Action::Kill(slot) => {
                if let Some(mut worker) = self.workers.remove(&slot) {
                    worker.process.kill9();
                    let gone = self.recorder.now();
                    self.recorder
                        .incident(Trouble::Killed, vec![worker.instance], now, gone);
                    self.recorder.deed("SIGKILL");
                    self.keep_log(&worker);
                }
            }
            Action::Terminate(slot) => {
                if let Some(worker) = self.workers.remove(&slot) {
                    worker.process.terminate();
                    self.leaving.push((worker, Instant::now()));
                    self.recorder.deed("SIGTERM");
                }
            }
            Action::Freeze(slot) => {
                if let Some(worker) = self.workers.get_mut(&slot) {
                    worker.process.freeze();
                    worker.frozen_since = Some(now);
                    self.recorder.deed("SIGSTOP");
                }
            }
            Action::Continue(slot) => {
                if let Some(worker) = self.workers.get_mut(&slot)
                    && let Some(since) = worker.frozen_since.take()
                {
                    worker.process.resume();
                    let instance = worker.instance;
                    self.recorder
                        .incident(Trouble::Frozen, vec![instance], since, now);
                }
            }
            Action::Kafka(passage) => {
                self.kafka_links.iter().for_each(|link| link.set(passage));
                match (passage, self.since.kafka) {
                    (Passage::Open, Some(since)) => {
                        self.since.kafka = None;
                        self.recorder
                            .incident(Trouble::KafkaCut, Vec::new(), since, now);
                    }
                    (Passage::Open, None) => {}
                    _ => {
                        self.since.kafka = Some(now);
                        self.recorder.deed("Kafka cut off");
                    }
                }
            }
            Action::Server(slot, passage) => {
                if let Some(worker) = self.workers.get(&slot) {
                    worker.link.set(passage);
                    let instance = worker.instance;
                    match (passage, self.since.server.remove(&instance)) {
                        (Passage::Open, Some(since)) => {
                            self.recorder
                                .incident(Trouble::ServerCut, vec![instance], since, now);
                        }
                        (Passage::Open, None) => {}
                        _ => {
                            self.since.server.insert(instance, now);
                            self.recorder.deed("server cut off from one worker");
                        }
                    }
                }
            }
            Action::LettersWritable(writable) => self.letters_writable(writable).await,
            Action::Outage(outage) => self.outage(outage, now),
            Action::KillBroker(node) => {
                self.cluster.lock().await.kill(node);
                self.since.brokers.insert(node, now);
                self.recorder.deed("brokers killed");
            }
            Action::StartBroker(node) => {
                if let Some(since) = self.since.brokers.remove(&node) {
                    let (cluster, recorder) = (self.cluster.clone(), self.recorder.clone());
                    self.restarts.push(spawn_local(async move {
                        cluster.lock().await.start_again(node).await;
                        let until = recorder.now();
                        recorder.incident(Trouble::BrokerKilled, Vec::new(), since, until);
                    }));
                }
            }
        }
        Ok(())
    }

    /// Tells all workers to stop, and waits for that.
    pub(crate) async fn dismiss(&mut self) -> anyhow::Result<()> {
        for slot in self.workers.keys().copied().collect::<Vec<_>>() {
            self.act(Action::Terminate(slot)).await?;
        }
        let deadline = Instant::now() + self.drain + Duration::from_secs(10);
        while !self.leaving.is_empty() && Instant::now() < deadline {
            self.attend_until(Instant::now() + TICK).await?;
        }
        Ok(())
    }

    /// For whoever looks into a violation.
    fn keep_log(&self, worker: &Worker) {
        if let Some(folder) = &self.logs {
            let file = folder.join(format!("w{}.log", worker.instance));
            let written = std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&file, worker.process.output().join("\n")));
            if let Err(error) = written {
                super::say(&format!("{}: {error}", file.display()));
            }
        }
    }

    async fn letters_writable(&self, writable: bool) {
        let config: &[(&str, &str)] = match writable {
            true => &LETTERS,
            false => &LETTERS_REFUSED,
        };
        // A broker may just be away.
        for _ in 0..5 {
            match self.client.configure_topic(&self.letters, config).await {
                Ok(()) => {
                    if !writable {
                        self.recorder.deed("dead-letter topic refused records");
                    }
                    return;
                }
                Err(error) => super::say(&format!("{}: {error}", self.letters)),
            }
        }
        let what = format!("the topic {} could not be configured", self.letters);
        self.recorder.history().own_trouble.push(what);
    }

    fn outage(&mut self, outage: Option<Outage>, now: Micros) {
        if let Some((was, since)) = self.since.outage.take() {
            let name = match was {
                Outage::Refused => {
                    self.recorder
                        .incident(Trouble::ServerCut, Vec::new(), since, now);
                    "connections refused"
                }
                Outage::Unavailable => "503",
                Outage::Unauthorized => "401",
            };
            self.recorder.history().outages.push((name, since, now));
        }
        self.stub.set_outage(outage);
        let passage = match outage {
            Some(Outage::Refused) => Passage::Closed,
            _ => Passage::Open,
        };
        self.recruiter.passage = passage;
        let leaving = self.leaving.iter().map(|(worker, _)| worker);
        for worker in self.workers.values().chain(leaving) {
            if !self.since.server.contains_key(&worker.instance) {
                worker.link.set(passage);
            }
        }
        if let Some(outage) = outage {
            self.since.outage = Some((outage, now));
            self.recorder.deed(match outage {
                Outage::Refused => "outages: connections refused",
                Outage::Unavailable => "outages: 503 for everything",
                Outage::Unauthorized => "outages: 401 for everything",
            });
        }
    }
}

fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}
