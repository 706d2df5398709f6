//! The cells: each starts a stub and a system, lets them run, and reads what is to be read from outside.

mod kill;
mod latency;
mod load;

use std::time::Duration;

use anyhow::{Context as _, bail};
use bench_kit::clock::wall_ms;
use bench_kit::usage::Usage;
use mcp_testkit::{Kafka, Process};
use tokio::time::{Instant, sleep};

use crate::jobs::JobProducer;
use crate::plan::{BACKLOG, PARTITIONS, Pace, Row, System};
use crate::results::{Column, Sample};
use crate::stub::Stats;
use crate::systems::{Launch, Programs};

/// Jobs in the topic of the rows under load: more than any system does within its cell.
const JOBS: usize = 600_000;
/// Jobs of the row `kill`: ten seconds of work.
const KILL_JOBS: usize = 10_000;
/// Kafka's default session timeout.
const SESSION_MS: u32 = 45_000;
/// How long anything may take that should take a few seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// A broker with jobs in it, and the programs.
pub(crate) struct Bench {
    kafka: Kafka,
    http: reqwest::Client,
    programs: Programs,
    pace: Pace,
    jobs: String,
    backlog: String,
    kill: String,
    groups: usize,
}

/// A stub and a system at work.
struct Cell {
    system: System,
    launch: Launch,
    stub: Process,
    process: Process,
    stats_url: String,
    http: reqwest::Client,
}

/// What was used and done up to a moment.
struct Snapshot {
    stats: Stats,
    usage: Usage,
    stub: Usage,
    wall_ms: i64,
}

impl Bench {
    /// Starts a broker, and writes the jobs that the rows need.
    pub(crate) async fn prepare(
        programs: Programs,
        pace: Pace,
        rows: &[Row],
    ) -> anyhow::Result<Self> {
        let kafka = Kafka::start().await;
        let mut bench = Self {
            kafka,
            http: reqwest::Client::new(),
            programs,
            pace,
            jobs: String::new(),
            backlog: String::new(),
            kill: String::new(),
            groups: 0,
        };
        let producer = JobProducer::new(&bench.kafka.bootstrap(), false)?;
        if rows.iter().any(|row| matches!(row, Row::Load { .. })) {
            bench.jobs = bench.new_topic().await;
            producer.fill(&bench.jobs, JOBS)?;
        }
        if rows.contains(&Row::Backlog) {
            bench.backlog = bench.new_topic().await;
            producer.fill(&bench.backlog, BACKLOG)?;
        }
        if rows.contains(&Row::Kill) {
            bench.kill = bench.new_topic().await;
            producer.fill(&bench.kill, KILL_JOBS)?;
        }
        Ok(bench)
    }

    /// Measures one cell once.
    pub(crate) async fn measure(&mut self, row: Row, system: System) -> anyhow::Result<Sample> {
        let values: Vec<(Column, f64)> = match row {
            Row::Load { .. } => self.under_load(row, system).await?,
            Row::Latency => self.latency(system).await?,
            Row::Backlog => self.backlog(system).await?,
            Row::Kill => self.kill(system).await?,
        };
        Ok(Sample {
            row,
            system,
            values,
        })
    }

    /// A topic for jobs, with its dead-letter topic.
    async fn new_topic(&self) -> String {
        let topic = self.kafka.new_topic("bench", PARTITIONS, &[]).await;
        let dead = format!("{topic}-dlq");
        self.kafka.create_topic(&dead, 1, &[]).await;
        topic
    }

    /// Starts a stub, and the system in a group of its own.
    async fn start(
        &mut self,
        row: Row,
        system: System,
        topic: &str,
        session_ms: u32,
    ) -> anyhow::Result<Cell> {
        let (latency_ms, concurrency, ordering) = row.load();
        let (stub, port) = self.programs.stub(latency_ms).await?;
        self.groups += 1;
        let launch = Launch {
            brokers: self.kafka.bootstrap(),
            topic: topic.to_owned(),
            group: format!("bench-{}", self.groups),
            port,
            concurrency,
            ordering,
            session_ms,
        };
        Ok(Cell {
            process: self.programs.start(system, &launch)?,
            system,
            launch,
            stub,
            stats_url: format!("http://127.0.0.1:{port}/stats"),
            http: self.http.clone(),
        })
    }
}

impl Cell {
    async fn stats(&self) -> anyhow::Result<Stats> {
        let answer = self.http.get(&self.stats_url).send().await;
        let text = answer.context("the stub is gone")?.text().await?;
        Ok(serde_json::from_str(&text)?)
    }

    async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        Ok(Snapshot {
            stats: self.stats().await?,
            usage: Usage::of(self.process.id())?,
            stub: Usage::of(self.stub.id())?,
            wall_ms: wall_ms(),
        })
    }

    /// Asks the stub again and again, until what it tells is `enough`.
    async fn wait_until(
        &mut self,
        what: &str,
        enough: impl Fn(&Stats) -> bool,
    ) -> anyhow::Result<Stats> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.stats().await?;
            if enough(&stats) {
                return Ok(stats);
            }
            let printed = || {
                let output = self.process.output();
                output[output.len().saturating_sub(20)..].join("\n")
            };
            if Instant::now() > deadline {
                bail!(
                    "not within {PATIENCE:?}: {what}; it printed:\n{}",
                    printed()
                );
            }
            let printed = printed();
            if let Some(status) = self.process.exited() {
                bail!("{} ended with {status}: {printed}", self.system.name());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn wait_for_the_first_job(&mut self) -> anyhow::Result<Stats> {
        self.wait_until("no job came to the stub", |stats| stats.came > 0)
            .await
    }

    /// SIGTERM, and the seconds until the process has ended.
    async fn terminate(&mut self) -> anyhow::Result<f64> {
        let began = Instant::now();
        self.process.terminate();
        while self.process.exited().is_none() {
            if began.elapsed() > PATIENCE {
                bail!("{} does not end on SIGTERM", self.system.name());
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(began.elapsed().as_secs_f64())
    }
}
