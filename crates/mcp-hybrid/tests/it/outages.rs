//! What happens while something that the system stands on is away: it is noticed and said, no job fails for it, and what
//! waited is done once it is back. The numbers in `docs/operations.md` are what this prints.

use std::fs;
use std::time::Duration;

use mcp_testkit::{Kafka, Process, Redis, eventually, fetched, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::binaries;
use crate::metrics::http;
use crate::pair::SOON;

/// Jobs that are submitted during each outage: more than what opens the breaker.
const JOBS: usize = 12;

struct System {
    kafka: Kafka,
    redis: Redis,
    server: Process,
    _worker: Process,
    admin: String,
    port: u16,
    folder: TempDir,
    submitted: usize,
}

impl System {
    async fn start() -> Self {
        let kafka = Kafka::start().await;
        kafka.create_topic("jobs", 2, &[]).await;
        kafka.create_topic("jobs-dlq", 1, &[]).await;
        kafka.create_topic("results", 1, &[]).await;
        let redis = Redis::start().await;
        let folder = TempDir::with_prefix("mcp-hybrid-outages-").unwrap();
        let policy = format!(
            "[[command]]\nname = \"python\"\npath = {:?}\nargs = [{:?}]\n",
            fetched::python(),
            script()
        );
        fs::write(folder.path().join("policy.toml"), policy).unwrap();
        let port = free_port();
        let server = start_server(&folder, port, &redis).await;
        let mut worker = Process::builder(binaries::kafka_worker())
            .env("KAFKA_BROKERS", kafka.bootstrap())
            .env("KAFKA_TOPIC", "jobs")
            .env("KAFKA_RESULT_TOPIC", "results")
            .env("MCP_SERVER_URL", format!("http://127.0.0.1:{port}"))
            .env("ADMIN_PORT", 0)
            .start();
        let line = worker.wait_for_line(" admin=", SOON).await;
        let (_, rest) = line.split_once(" admin=").unwrap();
        let admin = rest.split_whitespace().next().unwrap();
        let admin = admin.replace("0.0.0.0", "127.0.0.1");
        worker.wait_ready(&format!("http://{admin}"), SOON).await;
        Self {
            kafka,
            redis,
            server,
            _worker: worker,
            admin,
            port,
            folder,
            submitted: 0,
        }
    }

    async fn submit(&mut self) {
        for _ in 0..JOBS {
            self.submitted += 1;
            let id = format!("job-{}", self.submitted);
            let server = json!({"command": "python", "args": [script()]});
            let payload = json!({"mcpServers": {"a": server}}).to_string();
            let job = json!({"jobID": id, "jobType": "server-init", "payload": payload});
            self.kafka.produce("jobs", &id, &job.to_string()).await;
        }
    }

    async fn ready(&self) -> Value {
        let request = "GET /ready HTTP/1.0\r\nHost: worker\r\n\r\n".to_owned();
        let answer = http(&self.admin, request).await.unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).unwrap_or_default()
    }

    /// Waits until the worker says of `condition` that it fails. How long after `began` that was, and what it said.
    async fn wait_said(&self, condition: &str, began: Instant) -> (Duration, String) {
        let said = eventually(SOON, async || {
            let ready = self.ready().await;
            let reason = ready["conditions"][condition].as_str();
            reason
                .map(str::to_owned)
                .ok_or_else(|| format!("{condition}: {ready}"))
        })
        .await;
        (began.elapsed(), said)
    }

    /// Waits until everything that was submitted has succeeded, with no dead letter. How long that took.
    async fn wait_done(&self) -> Duration {
        let began = Instant::now();
        let results = self.kafka.read_until("results", self.submitted, SOON).await;
        let took = began.elapsed();
        for result in results {
            assert_eq!(result.json()["status"], "succeeded", "{}", result.text());
        }
        let letters = self.kafka.read_all("jobs-dlq").await;
        assert!(letters.is_empty(), "{letters:#?}");
        eventually(SOON, async || {
            let ready = self.ready().await;
            (ready["status"] == "ok").then_some(()).ok_or(ready)
        })
        .await;
        took
    }
}

fn script() -> String {
    let script = fetched::repository().join("crates/mcp-hybrid/tests/data/traced.py");
    script.to_str().unwrap().to_owned()
}

async fn start_server(folder: &TempDir, port: u16, redis: &Redis) -> Process {
    let policy = folder.path().join("policy.toml");
    let mut server = Process::builder(binaries::mcp_server())
        .env("PORT", port)
        .env("MCP_LAUNCH_POLICY", policy.display())
        .env("REDIS_URL", redis.url())
        .start();
    server
        .wait_ready(&format!("http://127.0.0.1:{port}"), SOON)
        .await;
    server
}

#[expect(clippy::print_stdout, reason = "the numbers of docs/operations.md")]
fn tell(away: &str, (noticed, said): (Duration, String), done: Duration) {
    println!(
        "{away}: said after {noticed:.1?} ({said}); {JOBS} jobs done {done:.1?} after its return"
    );
}

#[tokio::test]
async fn whatever_is_away_no_job_fails_for_it_and_all_are_done_once_it_is_back() {
    let mut system = System::start().await;
    system.submit().await;
    system.wait_done().await;

    let began = Instant::now();
    system.server.kill9();
    system.submit().await;
    let noticed = system.wait_said("server", began).await;
    system.server = start_server(&system.folder, system.port, &system.redis).await;
    tell("server", noticed, system.wait_done().await);

    let began = Instant::now();
    system.redis.kill();
    system.submit().await;
    let noticed = system.wait_said("server", began).await;
    system.redis.restart().await;
    tell("Redis", noticed, system.wait_done().await);

    system.kafka.stop().await;
    let began = Instant::now();
    let noticed = system.wait_said("broker", began).await;
    system.kafka.start_again().await;
    system.submit().await;
    tell("Kafka", noticed, system.wait_done().await);
}
