//! A server and a worker, with topics of their own.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mcp_testkit::{Kafka, Process, Record, fetched, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binaries;

/// For everything that takes well under a second or two on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A running server, a running worker, and where they meet.
pub(crate) struct Pair {
    pub(crate) kafka: &'static Kafka,
    pub(crate) jobs: String,
    pub(crate) dead: String,
    pub(crate) results: String,
    pub(crate) group: String,
    /// Holds the policy; `env` in it is the directory of environment files.
    pub(crate) folder: TempDir,
    pub(crate) server: Process,
    pub(crate) worker: Process,
    port: u16,
    /// More of the server's.
    variables: Vec<(String, String)>,
}

impl Pair {
    /// Starts both. The server may launch Node's everything-server and the Python servers of these tests, and whatever
    /// `more` lines of its policy allow.
    pub(crate) async fn start(name: &str, more: &str) -> Self {
        Self::with(name, more, Vec::new(), &[]).await
    }

    /// The same, with a database for published servers: a URL, or a file in the pair's folder.
    pub(crate) async fn with_database(name: &str, url: Option<String>) -> Self {
        let variables = url.map(|url| ("DATABASE_URL".to_owned(), url));
        Self::with(name, "", variables.into_iter().collect(), &[]).await
    }

    /// The same with more variables of the server, and a topic of results that takes records of at most so many bytes.
    pub(crate) async fn with_variables(
        name: &str,
        variables: &[(&str, String)],
        result_bytes: Option<&str>,
    ) -> Self {
        let variables = variables.iter();
        let variables = variables.map(|(name, value)| ((*name).to_owned(), value.clone()));
        let small = result_bytes.map(|bytes| ("max.message.bytes", bytes));
        Self::with(name, "", variables.collect(), small.as_slice()).await
    }

    async fn with(
        name: &str,
        more: &str,
        variables: Vec<(String, String)>,
        results_config: &[(&str, &str)],
    ) -> Self {
        let kafka = Kafka::shared().await;
        let jobs = kafka.new_topic(name, 2, &[]).await;
        let (dead, results) = (format!("{jobs}-dlq"), format!("{jobs}-results"));
        kafka.create_topic(&dead, 1, &[]).await;
        kafka.create_topic(&results, 1, results_config).await;
        let group = format!("group-of-{jobs}");
        let folder = TempDir::with_prefix(format!("mcp-hybrid-{name}-")).unwrap();
        fs::create_dir(folder.path().join("env")).unwrap();
        fs::write(folder.path().join("policy.toml"), policy(&folder, more)).unwrap();
        let port = free_port();
        let mut pair = Self {
            server: start_server(&folder, port, &variables).await,
            worker: start_worker(kafka, port, [&jobs, &results, &group]),
            kafka,
            jobs,
            dead,
            results,
            group,
            folder,
            port,
            variables,
        };
        pair.wait_worker().await;
        pair
    }

    /// Starts the server again after its end, on the same port.
    pub(crate) async fn start_server_again(&mut self) {
        self.server = start_server(&self.folder, self.port, &self.variables).await;
    }

    /// Starts the worker again after its end.
    pub(crate) async fn start_worker_again(&mut self) {
        let names = [&self.jobs, &self.results, &self.group];
        self.worker = start_worker(self.kafka, self.port, names);
        self.wait_worker().await;
    }

    async fn wait_worker(&mut self) {
        let line = self.worker.wait_for_line(" admin=", SOON).await;
        let (_, rest) = line.split_once(" admin=").unwrap();
        let address = rest.split_whitespace().next().unwrap();
        let url = format!("http://{}", address.replace("0.0.0.0", "127.0.0.1"));
        self.worker.wait_ready(&url, SOON).await;
    }

    /// A part of the command line of every program that this pair starts, and of no other.
    pub(crate) fn mark(&self) -> String {
        let name = self.folder.path().file_name().unwrap();
        name.to_str().unwrap().to_owned()
    }

    /// Node's everything-server over stdio, as a job names it.
    pub(crate) fn everything(&self) -> Value {
        let script = fetched::everything_server_js();
        json!({"command": "node", "args": [script, "stdio", self.mark()]})
    }

    /// A Python server of `tests/data`, as a job names it; its argument is a path below the pair's folder.
    pub(crate) fn python(&self, script: &str) -> Value {
        let state = self.folder.path().join("state");
        json!({"command": "python", "args": [data().join(script), state]})
    }

    /// Puts a `server-init` job on the topic.
    pub(crate) async fn submit(&self, id: &str, servers: Value) -> String {
        let payload = json!({"mcpServers": servers});
        self.submit_as("server-init", id, &payload).await
    }

    /// Puts a job of that type on the topic.
    pub(crate) async fn submit_as(&self, job_type: &str, id: &str, payload: &Value) -> String {
        let payload = payload.to_string();
        let job = json!({"jobID": id, "jobType": job_type, "payload": payload}).to_string();
        self.kafka.produce(&self.jobs, id, &job).await;
        job
    }

    /// The result records, once there are that many.
    pub(crate) async fn results(&self, count: usize) -> Vec<Value> {
        let records = self.kafka.read_until(&self.results, count, SOON).await;
        assert_eq!(records.len(), count, "{records:#?}");
        records.iter().map(Record::json).collect()
    }

    /// The dead letter of the job with this key, once it is there.
    pub(crate) async fn dead_letter(&self, key: &str, of: usize) -> Record {
        let letters = self.kafka.read_until(&self.dead, of, SOON).await;
        let mut letters = letters.into_iter();
        letters
            .find(|letter| letter.key_text().as_deref() == Some(key))
            .unwrap_or_else(|| panic!("no dead letter of {key}"))
    }

    /// How many dead letters there are now.
    pub(crate) async fn dead_letters(&self) -> usize {
        self.kafka.read_all(&self.dead).await.len()
    }

    /// What the group has committed, by partition.
    pub(crate) async fn committed(&self) -> Vec<Option<i64>> {
        self.kafka.committed(&self.group, &self.jobs).await
    }

    /// Waits until everything on the topic is committed.
    pub(crate) async fn wait_all_committed(&self) {
        let ends = self.kafka.end_offsets(&self.jobs).await;
        let wanted: Vec<_> = ends
            .iter()
            .map(|end| Some(*end).filter(|end| *end > 0))
            .collect();
        let kafka = self.kafka;
        kafka
            .wait_committed(&self.group, &self.jobs, &wanted, SOON)
            .await;
    }

    /// All that both have printed.
    pub(crate) fn log(&self) -> String {
        [self.server.output(), self.worker.output()]
            .concat()
            .join("\n")
    }
}

/// The folder of what tests start.
pub(crate) fn data() -> PathBuf {
    fetched::repository().join("crates/mcp-hybrid/tests/data")
}

fn policy(folder: &TempDir, more: &str) -> String {
    let (node, python) = (fetched::node22(), fetched::python());
    let (modules, data, folder) = (fetched::node_modules(), data(), folder.path());
    let everything = fetched::everything_server_js();
    let scripts = data.join("*");
    let env = folder.join("env");
    format!(
        r#"
        env_dir = {env:?}

        [[command]]
        name = "node"
        path = {node:?}
        args = [{everything:?}, "stdio", "*"]
        read = [{modules:?}]

        [[command]]
        name = "python"
        path = {python:?}
        args = [{scripts:?}, "**"]
        env = ["API_TOKEN"]
        read = [{data:?}]
        write = [{folder:?}]

        {more}
        "#
    )
}

async fn start_server(folder: &TempDir, port: u16, variables: &[(String, String)]) -> Process {
    let mut server = Process::builder(binaries::mcp_server())
        // Where the database is, if no other is named.
        .env("STATE_DIRECTORY", folder.path().display())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .env("PORT", port)
        .env(
            "MCP_LAUNCH_POLICY",
            folder.path().join("policy.toml").display(),
        )
        .start();
    let ready = format!("http://127.0.0.1:{port}");
    server.wait_ready(&ready, SOON).await;
    server
}

fn start_worker(kafka: &Kafka, server: u16, [jobs, results, group]: [&String; 3]) -> Process {
    Process::builder(binaries::kafka_worker())
        .env("KAFKA_BROKERS", kafka.bootstrap())
        .env("KAFKA_TOPIC", jobs)
        .env("KAFKA_RESULT_TOPIC", results)
        .env("MCP_CONSUMER_GROUP", group)
        .env("MCP_SERVER_URL", format!("http://127.0.0.1:{server}"))
        .env("WORKER_MAX_ATTEMPTS", 3)
        .env("WORKER_RETRY_BASE_MS", 20)
        .env("WORKER_RETRY_MAX_MS", 100)
        .env("ADMIN_PORT", 0)
        .env("KAFKA_PROPERTY_SESSION_TIMEOUT_MS", 6_000)
        .env("KAFKA_PROPERTY_HEARTBEAT_INTERVAL_MS", 500)
        .start()
}
