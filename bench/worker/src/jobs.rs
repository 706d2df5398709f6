//! The jobs: what lies in the topic, and what the others send for it.

use std::time::Duration;

use anyhow::Context as _;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::plan::PARTITIONS;

/// Size of a job's record, in bytes.
pub(crate) const RECORD_BYTES: usize = 200;
/// Distinct keys. A multiple of the partitions, so that a key stays in its partition.
const KEYS: usize = 100_000;
/// What stands before a job's number, wherever it is written.
pub(crate) const MARK: &[u8] = b"job-";
/// Digits of a job's number.
pub(crate) const DIGITS: usize = 8;

const HEAD: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"bench\",\"arguments\":";

/// The record of a job: a `tool-call` envelope of 200 bytes.
pub(crate) fn record(number: usize) -> String {
    let filled = |filler: &str| {
        format!(
            r#"{{"jobID":"job-{number:08}","jobType":"tool-call","payload":"{{\"tool\":\"bench\",\"arguments\":{{\"job\":\"job-{number:08}\",\"text\":\"{filler}\"}}}}"}}"#
        )
    };
    let missing = RECORD_BYTES.saturating_sub(filled("").len());
    filled(&"x".repeat(missing))
}

/// What a client other than ours sends for a record: a tool call that holds it, filled up to `bytes`.
pub(crate) fn request_body(record: &[u8], bytes: usize) -> Vec<u8> {
    let mut body = Vec::with_capacity(bytes);
    body.extend_from_slice(HEAD);
    body.extend_from_slice(record);
    body.push(b'}');
    body.resize(bytes.saturating_sub(1).max(body.len()), b' ');
    body.push(b'}');
    body
}

/// Writes jobs into a topic.
pub(crate) struct JobProducer(ThreadedProducer<DefaultProducerContext>);

impl JobProducer {
    /// For many at once, or with `at_once` for each as soon as it comes.
    pub(crate) fn new(brokers: &str, at_once: bool) -> anyhow::Result<Self> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("acks", "all")
            .set("linger.ms", if at_once { "0" } else { "20" })
            .set("batch.size", "262144")
            .set("queue.buffering.max.messages", "100000")
            .create()
            .context("the producer")?;
        Ok(Self(producer))
    }

    /// Hands one job over.
    pub(crate) fn send(&self, topic: &str, number: usize) -> anyhow::Result<()> {
        let value = record(number);
        let key = format!("key-{}", number % KEYS);
        let partition = i32::try_from(number)? % PARTITIONS;
        let mut record = BaseRecord::to(topic)
            .key(&key)
            .payload(&value)
            .partition(partition);
        loop {
            match self.0.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.0.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error).context("a job can't be produced"),
            }
        }
    }

    /// Writes the jobs from 0 to `count`, and waits until the broker has them.
    pub(crate) fn fill(&self, topic: &str, count: usize) -> anyhow::Result<()> {
        for number in 0..count {
            self.send(topic, number)?;
        }
        self.0
            .flush(Duration::from_secs(60))
            .context("the broker does not take the jobs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_job_of_200_bytes() {
        for number in [0, 99_999_999] {
            let text = record(number);
            assert_eq!(text.len(), RECORD_BYTES);
            let envelope: serde_json::Value = serde_json::from_str(&text).unwrap();
            let payload = envelope["payload"].as_str().unwrap();
            let payload: serde_json::Value = serde_json::from_str(payload).unwrap();
            assert_eq!(payload["tool"], "bench");
            assert_eq!(payload["arguments"]["job"], envelope["jobID"]);
        }
    }

    #[test]
    fn a_body_is_json_of_the_size_asked_for() {
        let body = request_body(record(7).as_bytes(), 500);
        assert_eq!(body.len(), 500);
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["params"]["arguments"]["jobID"], "job-00000007");
    }
}
