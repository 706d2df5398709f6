//! `kafka-worker dlq` as a child process, and letters for it.

use mcp_testkit::{NewRecord, Process, Record, eventually};
use serde_json::{Value, json};

use crate::setting::Setting;
use crate::worker::SOON;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
}

impl Ended {
    /// The JSON objects among its lines.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let objects = self.lines.iter().filter(|line| line.starts_with('{'));
        objects
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// All lines.
    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Panics unless it ended with `code`.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.text());
        self
    }
}

/// Starts `dlq` with these variables.
pub(crate) fn start(variables: &[(&str, &str)], args: &[&str]) -> Process {
    Process::builder(env!("CARGO_BIN_EXE_kafka-worker"))
        .arg("dlq")
        .args(args)
        .envs(variables.iter().copied())
        .start()
}

/// Waits for the end.
pub(crate) async fn ended(mut process: Process) -> Ended {
    let status = process.wait_exit(SOON).await;
    Ended {
        code: status.code(),
        lines: process.output(),
    }
}

impl Setting<'_> {
    /// Starts `dlq` on the topics of this setting.
    pub(crate) fn start_dlq(&self, args: &[&str]) -> Process {
        let brokers = self.kafka.bootstrap();
        let variables = [
            ("KAFKA_BROKERS", brokers.as_str()),
            ("KAFKA_TOPIC", &self.jobs),
        ];
        start(&variables, args)
    }

    /// Runs `dlq` on the topics of this setting to its end.
    pub(crate) async fn dlq(&self, args: &[&str]) -> Ended {
        ended(self.start_dlq(args)).await
    }

    /// A dead letter of this job, as a worker would have written it, from partition 0.
    pub(crate) fn letter(&self, id: &str, offset: usize) -> NewRecord {
        let payload = json!({"tool": "t", "arguments": {}}).to_string();
        let value = json!({"jobID": id, "jobType": "tool-call", "payload": payload});
        self.letter_of(NewRecord::value(value.to_string()).key(id), id, offset)
    }

    /// The same, of a record with a value, a key and headers of its own.
    pub(crate) fn letter_of(&self, record: NewRecord, id: &str, offset: usize) -> NewRecord {
        record
            .header("__dlq.errors.topic", &self.jobs)
            .header("__dlq.errors.partition", "0")
            .header("__dlq.errors.offset", offset.to_string())
            .header("__dlq.errors.group", &self.group)
            .header("__dlq.errors.delivery.count", "1")
            .header("__dlq.errors.message", "the server refuses it")
            .header("mcp.error.code", "request-rejected")
            .header("mcp.error.class", "permanent")
            .header("mcp.job.id", id)
            .header("mcp.job.type", "tool-call")
            .header("mcp.redrive.count", "0")
    }

    /// Puts a letter on the dead-letter topic.
    pub(crate) async fn bury(&self, letter: NewRecord) -> (i32, i64) {
        self.kafka.send(&self.dead, letter).await
    }

    /// Puts letters of these jobs on the dead-letter topic.
    pub(crate) async fn bury_all(&self, ids: &[String]) {
        let letters = ids
            .iter()
            .enumerate()
            .map(|(offset, id)| self.bury(self.letter(id, offset)));
        futures::future::join_all(letters).await;
    }

    /// Waits until the topic of jobs holds that many records, markers of transactions and what is not committed included.
    /// A reader of committed records sees no end of a topic that is being written.
    pub(crate) async fn wait_growing(&self, count: i64) {
        eventually(SOON, async || {
            let ends = self.kafka.end_offsets(&self.jobs).await;
            match ends.iter().sum::<i64>() {
                sum if sum >= count => Ok(()),
                sum => Err(format!("{} ends at {sum}", self.jobs)),
            }
        })
        .await;
    }

    /// The `jobID`s on the topic of jobs, in order, as a consumer of committed records sees them.
    pub(crate) async fn sent(&self) -> Vec<String> {
        let records = self.kafka.read_all(&self.jobs).await;
        let mut ids: Vec<_> = records.iter().map(job_id).collect();
        ids.sort();
        ids
    }
}

fn job_id(record: &Record) -> String {
    record.json()["jobID"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
