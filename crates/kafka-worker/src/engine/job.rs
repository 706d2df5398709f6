//! A record on its way through the engine.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use mcp_core::{Class, Failure, JobEnvelope};
use mcp_runtime::trace_context;
use rdkafka::Message;
use rdkafka::message::{Header, Headers, OwnedMessage};
use serde_json::Value;
use tokio::time::Instant;

use super::ownership::{InFlight, Ownership, Waiting};
use super::scheduler::Queued;

/// What a header takes in memory beside its name and value, so that many empty ones count too.
const HEADER: usize = 64;

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
    /// What each step answered in its last attempt, or null if nobody reads that; one that succeeded is not called again.
    pub steps: IndexMap<String, Result<Value, Failure>>,
    /// What ended it, while its dead letter waits for the budget.
    pub verdict: Option<(Failure, Class)>,
    /// Why the server refused it and when, until it is clear whether it refuses everybody.
    pub doubt: Option<(Failure, Instant)>,
    /// When the present or last attempt began.
    pub attempt_began: Instant,
    /// The attempts that count and failed in a way that may be the server's: when each began and failed.
    pub suspected: Vec<(Instant, Instant)>,
    /// When the breaker opened first because it was refused.
    pub opened: Option<Instant>,
    /// When it was spared last because the server was not ready.
    pub spared: Option<Instant>,
    in_flight: Option<InFlight>,
    waiting: Option<Waiting>,
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

/// The lane of a job, see [`super::scheduler`]: a hash of what keeps its order. Should two collide, their jobs merely
/// run one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneName(u64);

impl LaneName {
    /// The lane of a partition, or of one key in it.
    pub fn new(topic: &str, partition: i32, key: Option<&[u8]>) -> Self {
        let mut hasher = DefaultHasher::new();
        (topic, partition, key).hash(&mut hasher);
        Self(hasher.finish())
    }
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
            verdict: None,
            doubt: None,
            attempt_began: Instant::now(),
            suspected: Vec::new(),
            opened: None,
            spared: None,
            in_flight: None,
            waiting: None,
        }
    }

    /// Its offset.
    pub fn offset(&self) -> i64 {
        self.message.offset()
    }

    /// Counts it in until it is dropped or [`Job::leave`] is called. `false`: it is left to the next owner.
    pub fn enter(&mut self) -> bool {
        if self.in_flight.is_none() {
            self.in_flight = self.ownership.enter(self.offset());
        }
        self.in_flight.is_some()
    }

    /// Counts it out.
    pub fn leave(&mut self) {
        self.in_flight = None;
    }

    /// Gives the attempts back that met an outage, by the word of `explains`.
    pub fn give_back(&mut self, explains: impl Fn((Instant, Instant)) -> bool) {
        let counted = self.suspected.len();
        self.suspected.retain(|attempt| !explains(*attempt));
        self.attempts -= (counted - self.suspected.len()) as u32;
    }

    /// Whether no attempt of it has begun.
    pub fn is_untried(&self) -> bool {
        self.started.is_none()
    }

    /// The lane it belongs to; none for one that runs on its own.
    pub fn lane(&self, ordering: Ordering) -> Option<LaneName> {
        let lane = |key| LaneName::new(&self.ownership.topic, self.ownership.partition, key);
        match ordering {
            Ordering::Unordered => None,
            Ordering::Partition => Some(lane(None)),
            Ordering::Key => match (self.message.key(), &self.envelope) {
                (Some(key), _) if !key.is_empty() => Some(lane(Some(key))),
                (_, Ok(envelope)) => Some(lane(Some(envelope.job_id.as_bytes()))),
                (_, Err(_)) => None,
            },
        }
    }

    /// The job's id, where the record is an envelope.
    pub fn id(&self) -> Option<&str> {
        self.envelope.as_ref().ok().map(|e| e.job_id.as_str())
    }

    /// The id of the trace that it belongs to: of its last attempt, or of the record. 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        let own = || header(&self.message, trace_context::TRACEPARENT);
        trace_context::trace_id(self.traceparent.as_deref().or_else(own)?)
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

impl Queued for Job {
    fn set_waiting(&mut self, waiting: bool) {
        if waiting != self.waiting.is_some() {
            self.waiting =
                waiting.then(|| Waiting::new(self.ownership.clone(), size(&self.message)));
        }
    }
}

/// What a record takes of the bounds on bytes: key, value and headers.
pub fn size(message: &impl Message) -> usize {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    let headers = message.headers().map_or(0, |headers| {
        let of = |header: Header<'_, &[u8]>| HEADER + header.key.len() + length(header.value);
        headers.iter().map(of).sum()
    });
    length(message.payload()) + length(message.key()) + headers
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
    use rdkafka::message::OwnedHeaders;

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

    #[test]
    fn headers_count_into_the_size_of_a_record() {
        let with = |headers| {
            let (value, key) = (Some(b"12345".into()), Some(b"123".into()));
            let none = Timestamp::NotAvailable;
            size(&OwnedMessage::new(
                value,
                key,
                "t".into(),
                none,
                3,
                7,
                headers,
            ))
        };
        let value = Some("1234567");
        let headers = OwnedHeaders::new()
            .insert(Header { key: "ab", value })
            .insert(Header::<&str> {
                key: "c",
                value: None,
            });
        assert_eq!(with(None), 8);
        assert_eq!(with(Some(headers)), 8 + 10 + 2 * HEADER);
    }

    const VALID: &str = r#"{"jobID":"a","jobType":"tool-call","payload":"{}"}"#;

    #[test]
    fn the_record_key_is_the_ordering_key_and_without_one_the_job_id() {
        let key = |bytes: &[u8]| Some(LaneName::new("t", 3, Some(bytes)));
        assert_eq!(job(Some("k"), VALID).lane(Ordering::Key), key(b"k"));
        assert_eq!(job(None, VALID).lane(Ordering::Key), key(b"a"));
        assert_eq!(job(Some(""), VALID).lane(Ordering::Key), key(b"a"));
        assert_eq!(job(None, "oops").lane(Ordering::Key), None);
    }

    #[test]
    fn the_other_orders_ignore_the_key() {
        let lane = job(Some("k"), VALID).lane(Ordering::Partition);
        assert_eq!(lane, Some(LaneName::new("t", 3, None)));
        assert_eq!(job(Some("k"), VALID).lane(Ordering::Unordered), None);
    }
}
