//! What happens while something that the system stands on is away: it is noticed and said, no job fails for it, and what
//! waited is done once it is back. The numbers in `docs/operations.md` are what this prints.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mcp_testkit::{
    FakeGemini, GeminiReply, Kafka, Postgres, Process, Redis, eventually, fetched, free_port,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::binaries;
use crate::metrics::http;
use crate::pair::{SOON, data};

const PICTURE: &str =
    r#"<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><path d="M0 0h8v8z"/></svg>"#;
/// Jobs that are submitted during each outage: more than what opens the breaker.
const JOBS: usize = 12;

struct System {
    kafka: Kafka,
    redis: Redis,
    postgres: Postgres,
    gemini: Gemini,
    database: String,
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
        let (redis, postgres) = (Redis::start().await, Postgres::start().await);
        let (gemini, database) = (Gemini::start().await, postgres.new_database().await);
        let folder = TempDir::with_prefix("mcp-hybrid-outages-").unwrap();
        let policy = format!(
            "[[command]]\nname = \"python\"\npath = {:?}\nargs = [{:?}]\nread = [{:?}]\n",
            fetched::python(),
            script(),
            data()
        );
        fs::write(folder.path().join("policy.toml"), policy).unwrap();
        let port = free_port();
        let server = start_server(&folder, port, &redis, &gemini, &database).await;
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
            postgres,
            gemini,
            database,
            server,
            _worker: worker,
            admin,
            port,
            folder,
            submitted: 0,
        }
    }

    async fn start_server_again(&mut self) {
        let (folder, port) = (&self.folder, self.port);
        self.server = start_server(folder, port, &self.redis, &self.gemini, &self.database).await;
    }

    /// Submits jobs that start a program.
    async fn submit(&mut self) {
        let server = json!({"command": "python", "args": [script()]});
        let payload = json!({"mcpServers": {"a": server}});
        self.submit_as("server-init", |_| payload.clone()).await;
    }

    async fn submit_as(&mut self, job_type: &str, payload: impl Fn(usize) -> Value) {
        for _ in 0..JOBS {
            self.submitted += 1;
            let id = format!("job-{}", self.submitted);
            let payload = payload(self.submitted).to_string();
            let job = json!({"jobID": id, "jobType": job_type, "payload": payload});
            self.kafka.produce("jobs", &id, &job.to_string()).await;
        }
    }

    async fn ready(&self) -> Value {
        let body = get(&self.admin, "/ready").await;
        serde_json::from_str(&body).unwrap_or_default()
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

    /// The same of the server, which stays ready.
    async fn wait_noticed(&self, notice: &str, began: Instant) -> (Duration, String) {
        let server = format!("127.0.0.1:{}", self.port);
        let said = eventually(SOON, async || {
            let ready = get(&server, "/ready").await;
            let ready: Value = serde_json::from_str(&ready).unwrap_or_default();
            let text = ready["notices"][notice].as_str();
            text.map(str::to_owned)
                .ok_or_else(|| format!("{notice}: {ready}"))
        })
        .await;
        (began.elapsed(), said)
    }

    /// Waits until attempts of jobs have failed with that code, and are counted.
    async fn wait_failed(&self, code: &str, began: Instant) -> (Duration, String) {
        let said = eventually(SOON, async || {
            let metrics = get(&self.admin, "/metrics").await;
            let mut lines = metrics.lines();
            lines
                .find(|line| {
                    line.starts_with("worker_attempts_failed_total{") && line.contains(code)
                })
                .map(str::to_owned)
                .ok_or_else(|| format!("no attempt failed with {code}"))
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

/// The payload of a job that publishes a version of its own.
fn publication(number: usize) -> Value {
    let server = json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "com.example/weather", "version": format!("1.0.{number}"), "description": "Weather",
    });
    json!({"server": server})
}

fn script() -> String {
    let script = data().join("traced.py");
    script.to_str().unwrap().to_owned()
}

/// The body of the answer; nothing without one.
async fn get(address: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let answer = http(address, request).await.unwrap_or_default();
    let body = answer.split_once("\r\n\r\n");
    body.map_or_else(String::new, |(_, body)| body.to_owned())
}

/// Gemini, which may be down.
struct Gemini {
    fake: FakeGemini,
    is_down: Arc<AtomicBool>,
}

impl Gemini {
    async fn start() -> Self {
        let is_down = Arc::new(AtomicBool::new(false));
        let down = Arc::clone(&is_down);
        let fake = FakeGemini::start(move |_| {
            let is_down = down.load(Ordering::Relaxed);
            async move {
                match is_down {
                    true => GeminiReply::overloaded(),
                    false => GeminiReply::svg(PICTURE, "A corner", "A black corner."),
                }
            }
        });
        Self {
            fake: fake.await,
            is_down,
        }
    }

    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }
}

async fn start_server(
    folder: &TempDir,
    port: u16,
    redis: &Redis,
    gemini: &Gemini,
    database: &str,
) -> Process {
    let policy = folder.path().join("policy.toml");
    let mut server = Process::builder(binaries::mcp_server())
        .env("PORT", port)
        .env("MCP_LAUNCH_POLICY", policy.display())
        .env("REDIS_URL", redis.url())
        .env("DATABASE_URL", database)
        .env("GEMINI_BASE_URL", gemini.fake.url())
        .env("GEMINI_API_KEY", FakeGemini::KEY)
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
    system.start_server_again().await;
    tell("server", noticed, system.wait_done().await);

    let began = Instant::now();
    system.redis.kill();
    system.submit().await;
    let noticed = system.wait_said("server", began).await;
    system.redis.restart().await;
    tell("Redis", noticed, system.wait_done().await);

    let began = Instant::now();
    system.postgres.stop().await;
    system.submit_as("server-publish", publication).await;
    let noticed = system.wait_noticed("database", began).await;
    system.postgres.start_again().await;
    tell("Postgres", noticed, system.wait_done().await);

    let began = Instant::now();
    system.gemini.set_down(true);
    let picture = |_| json!({"prompt": "a corner"});
    system.submit_as("svg-generate", picture).await;
    let noticed = system.wait_failed("provider-unavailable", began).await;
    system.gemini.set_down(false);
    tell("Gemini", noticed, system.wait_done().await);

    system.kafka.stop().await;
    let began = Instant::now();
    let noticed = system.wait_said("broker", began).await;
    system.kafka.start_again().await;
    system.submit().await;
    tell("Kafka", noticed, system.wait_done().await);
}
