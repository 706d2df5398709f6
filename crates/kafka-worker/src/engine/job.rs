//! A record on its way through the engine.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use mcp_core::{Failure, JobEnvelope};
use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};
use serde_json::Value;
use tokio::time::Instant;

use super::ownership::Ownership;

/// A received record, decoded, with what its attempts have brought so far.
#[derive(Debug)]
pub struct Job {
    /// Unique in the process; tells the breaker one job's failures from another's.
    pub serial: u64,
    /// The record as received.
    pub message: OwnedMessage,
    /// The assignment it was received in.
    pub ownership: Arc<Ownership>,
    /// The envelope, or why the record is none.
    pub envelope: Result<JobEnvelope, Failure>,
    /// Why it is not to run although it has an envelope.
    pub refused: Option<Failure>,
    /// Attempts that count.
    pub attempts: u32,
    /// The first attempt, once it has begun.
    pub started: Option<Started>,
    /// The W3C trace context of the last attempt, for the dead letter of a record that brought none.
    pub traceparent: Option<String>,
    /// What each step answered in its last attempt; one that succeeded is not called again.
    pub steps: IndexMap<String, Result<Value, Failure>>,
}

/// The beginning of a job's first attempt.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// When it was.
    pub at: Instant,
    /// The same by the wall clock.
    pub time: DateTime<Utc>,
    /// How long the server had been down by then, see [`crate::breaker::Breaker::outage`].
    pub outage: Duration,
}

/// The lane of a job: see [`super::scheduler`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LaneName {
    /// Key order: topic, partition and ordering key.
    Key(Arc<str>, i32, Box<[u8]>),
    /// Partition order.
    Partition(Arc<str>, i32),
}

/// What keeps its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordering {
    /// Records of one key; a record without a key is ordered by its `jobID`.
    Key,
    /// Records of one partition.
    Partition,
    /// Nothing.
    Unordered,
}

impl Job {
    /// Decodes the record.
    pub fn new(serial: u64, message: OwnedMessage, ownership: Arc<Ownership>) -> Self {
        let envelope = JobEnvelope::decode(message.payload(), header(&message, "content-type"));
        Self {
            serial,
            message,
            ownership,
            envelope,
            refused: None,
            attempts: 0,
            started: None,
            traceparent: None,
            steps: IndexMap::new(),
        }
    }

    /// The lane it belongs to; none for one that runs on its own.
    pub fn lane(&self, ordering: Ordering) -> Option<LaneName> {
        let topic = || self.ownership.topic.clone();
        let partition = self.ownership.partition;
        match ordering {
            Ordering::Unordered => None,
            Ordering::Partition => Some(LaneName::Partition(topic(), partition)),
            Ordering::Key => {
                let key = match (self.message.key(), &self.envelope) {
                    (Some(key), _) if !key.is_empty() => key,
                    (_, Ok(envelope)) => envelope.job_id.as_bytes(),
                    (_, Err(_)) => return None,
                };
                Some(LaneName::Key(topic(), partition, key.into()))
            }
        }
    }

    /// The job's id, where the record is an envelope.
    pub fn id(&self) -> Option<&str> {
        self.envelope.as_ref().ok().map(|e| e.job_id.as_str())
    }

    /// The job's type, where the record is an envelope.
    pub fn job_type(&self) -> Option<&str> {
        self.envelope.as_ref().ok().map(|e| e.job_type.as_str())
    }

    /// Time since the first attempt began, without that in which the server was down: waiting for it must not use up
    /// the deadline. `outage` is how long the server has been down in all.
    pub fn age(&self, now: Instant, outage: Duration) -> Duration {
        self.started.map_or(Duration::ZERO, |started| {
            (now - started.at).saturating_sub(outage.saturating_sub(started.outage))
        })
    }
}

/// The first header of that name, compared without case, that is UTF-8.
pub fn header<'a>(message: &'a OwnedMessage, name: &str) -> Option<&'a str> {
    message
        .headers()?
        .iter()
        .find(|header| header.key.eq_ignore_ascii_case(name))
        .and_then(|header| std::str::from_utf8(header.value?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::Timestamp;

    fn job(key: Option<&str>, value: &str) -> Job {
        let message = OwnedMessage::new(
            Some(value.into()),
            key.map(Into::into),
            "t".into(),
            Timestamp::NotAvailable,
            3,
            7,
            None,
        );
        Job::new(0, message, Arc::new(Ownership::new("t".into(), 3, 1)))
    }

    const VALID: &str = r#"{"jobID":"a","jobType":"tool-call","payload":"{}"}"#;

    #[test]
    fn the_record_key_is_the_ordering_key_and_without_one_the_job_id() {
        let key = |bytes: &[u8]| Some(LaneName::Key("t".into(), 3, bytes.into()));
        assert_eq!(job(Some("k"), VALID).lane(Ordering::Key), key(b"k"));
        assert_eq!(job(None, VALID).lane(Ordering::Key), key(b"a"));
        assert_eq!(job(Some(""), VALID).lane(Ordering::Key), key(b"a"));
        assert_eq!(job(None, "oops").lane(Ordering::Key), None);
    }

    #[test]
    fn the_other_orders_ignore_the_key() {
        let lane = job(Some("k"), VALID).lane(Ordering::Partition);
        assert_eq!(lane, Some(LaneName::Partition("t".into(), 3)));
        assert_eq!(job(Some("k"), VALID).lane(Ordering::Unordered), None);
    }
}
