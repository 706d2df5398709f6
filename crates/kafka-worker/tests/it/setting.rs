//! Topics and a group of one test's own, and jobs to put there.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mcp_testkit::{Kafka, NewRecord, Outcome, Record, Reply, SeenCall, StubServer, eventually};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::worker::{SOON, WorkerBuilder};

/// What one test works with.
pub(crate) struct Setting<'k> {
    pub(crate) kafka: &'k Kafka,
    pub(crate) jobs: String,
    pub(crate) dead: String,
    pub(crate) group: String,
}

impl<'k> Setting<'k> {
    /// A topic of jobs with its dead-letter topic.
    pub(crate) async fn new(kafka: &'k Kafka, name: &str, partitions: i32) -> Self {
        let setting = Self::without_dead_letters(kafka, name, partitions).await;
        kafka.create_topic(&setting.dead, 1, &[]).await;
        setting
    }

    /// A topic of jobs, whose dead-letter topic does not exist.
    pub(crate) async fn without_dead_letters(
        kafka: &'k Kafka,
        name: &str,
        partitions: i32,
    ) -> Self {
        let jobs = kafka.new_topic(name, partitions, &[]).await;
        Self {
            kafka,
            dead: format!("{jobs}-dlq"),
            group: format!("group-of-{jobs}"),
            jobs,
        }
    }

    /// A worker of this setting. What is not about times in a test is quick.
    pub(crate) fn worker(&self, server: &StubServer) -> WorkerBuilder {
        WorkerBuilder::bare()
            .var("KAFKA_BROKERS", self.kafka.bootstrap())
            .var("KAFKA_TOPIC", &self.jobs)
            .var("MCP_CONSUMER_GROUP", &self.group)
            .var("MCP_SERVER_URL", server.url())
            .var("WORKER_RETRY_BASE_MS", 20)
            .var("WORKER_RETRY_MAX_MS", 100)
            .var("ADMIN_PORT", 0)
            .var("KAFKA_PROPERTY_SESSION_TIMEOUT_MS", 6_000)
            .var("KAFKA_PROPERTY_HEARTBEAT_INTERVAL_MS", 500)
            .var("KAFKA_PROPERTY_STATISTICS_INTERVAL_MS", 200)
            .var("RUST_LOG", "debug")
    }

    /// Puts a job on the topic.
    pub(crate) async fn submit(&self, record: NewRecord) -> (i32, i64) {
        self.kafka.send(&self.jobs, record).await
    }

    /// Puts jobs on the topic, in order.
    pub(crate) async fn submit_all(&self, records: impl IntoIterator<Item = NewRecord>) {
        join_all(records.into_iter().map(|record| self.submit(record))).await;
    }

    /// Waits until everything on the topic is committed.
    pub(crate) async fn wait_all_committed(&self) {
        let ends = self.kafka.end_offsets(&self.jobs).await;
        let wanted: Vec<_> = ends
            .iter()
            .map(|end| Some(*end).filter(|end| *end > 0))
            .collect();
        self.kafka
            .wait_committed(&self.group, &self.jobs, &wanted, SOON)
            .await;
    }

    /// What the group has committed.
    pub(crate) async fn committed(&self) -> Vec<Option<i64>> {
        self.kafka.committed(&self.group, &self.jobs).await
    }

    /// The dead letters, once there are that many.
    pub(crate) async fn dead_letters(&self, count: usize) -> Vec<Record> {
        let letters = self.kafka.read_until(&self.dead, count, SOON).await;
        assert_eq!(letters.len(), count, "{letters:#?}");
        letters
    }

    /// Runs `scenario`, and meanwhile looks again and again at the committed offsets: no job that `done` does not know may
    /// lie behind them, and they never go back.
    pub(crate) async fn watch_commits<T>(
        &self,
        ledger: &RefCell<Ledger>,
        done: impl Fn() -> Vec<String>,
        scenario: impl Future<Output = T>,
    ) -> T {
        let watch = async {
            let mut before = Vec::new();
            loop {
                // First the offsets, then what is done: the other way round a job could finish in between.
                let committed = self.committed().await;
                let done: HashSet<_> = done().into_iter().collect();
                for ((partition, offset), job) in ledger.borrow().iter() {
                    let beyond = committed[*partition as usize].is_some_and(|at| *offset < at);
                    assert!(
                        !beyond || done.contains(job),
                        "partition {partition} is committed up to {committed:?}, but {job} at {offset} is not done"
                    );
                }
                let went_back = before
                    .iter()
                    .zip(&committed)
                    .any(|(before, now)| before > now);
                assert!(!went_back, "committed: {before:?}, then {committed:?}");
                before = committed;
            }
        };
        tokio::select! {
            never = watch => never,
            result = scenario => result,
        }
    }
}

/// The job at each partition and offset.
pub(crate) type Ledger = Vec<((i32, i64), String)>;

/// A server that answers each call when the gate gives a permit, which goes back to it.
pub(crate) async fn gated_server() -> (Arc<Semaphore>, StubServer) {
    let gate = Arc::new(Semaphore::new(0));
    let entrance = gate.clone();
    let server = StubServer::start(move |_| {
        let entrance = entrance.clone();
        async move {
            drop(entrance.acquire().await);
            Reply::text("done")
        }
    })
    .await;
    (gate, server)
}

/// A `tool-call` job whose tool says what the stub is to do.
pub(crate) fn tool_job(id: &str, tool: &str) -> NewRecord {
    job(id, "tool-call", &json!({"tool": tool, "arguments": {}}))
}

/// A `server-init` job.
pub(crate) fn init_job(id: &str, servers: &[&str]) -> NewRecord {
    let servers: HashMap<_, _> = servers
        .iter()
        .map(|name| (*name, json!({"command": "run-it"})))
        .collect();
    job(id, "server-init", &json!({"mcpServers": servers}))
}

/// A job with a payload that is JSON in a string.
pub(crate) fn job(id: &str, job_type: &str, payload: &Value) -> NewRecord {
    let value = json!({"jobID": id, "jobType": job_type, "payload": payload.to_string()});
    NewRecord::value(value.to_string())
}

/// The `jobID` in a call's idempotency key, `{topic}/{jobID}/{step}`.
pub(crate) fn job_of(call: &mcp_testkit::Call) -> String {
    let key = call.idempotency_key().unwrap_or_default();
    key.split('/').nth(1).unwrap_or_default().to_owned()
}

/// The jobs of the calls, in the order of arrival, with repetitions.
pub(crate) fn jobs_of(calls: &[SeenCall]) -> Vec<String> {
    calls.iter().map(|seen| job_of(&seen.call)).collect()
}

/// The jobs that the server has answered, with repetitions.
pub(crate) fn answered(server: &StubServer) -> Vec<String> {
    let mut calls = server.calls();
    calls.retain(|seen| matches!(seen.ended, Some((_, Outcome::Answered))));
    jobs_of(&calls)
}

/// Waits until each of these jobs was answered at least once.
pub(crate) async fn wait_answered(server: &StubServer, jobs: &[String], within: Duration) {
    eventually(within, async || {
        let answered = answered(server);
        let missing: Vec<_> = jobs.iter().filter(|job| !answered.contains(job)).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(format!("{} jobs are missing: {missing:?}", missing.len())),
        }
    })
    .await;
}

/// The jobs that were called more than once.
pub(crate) fn repeated(server: &StubServer) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for job in jobs_of(&server.calls()) {
        *counts.entry(job).or_default() += 1;
    }
    counts.retain(|_, count| *count > 1);
    counts.into_keys().collect()
}

/// `{prefix}-0` and so on.
pub(crate) fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}-{n}")).collect()
}
