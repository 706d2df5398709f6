//! What a dead letter looks like: headers in, headers out, no I/O.
//!
//! Key and value are those of the record, byte for byte; the record's headers are kept and ours are added behind them.
//! Only the `mcp.` ones of an earlier dead letter are replaced: they are the product's own bookkeeping.

use std::collections::HashSet;

use mcp_core::text::bounded;
use mcp_core::{Class, Failure};
use rdkafka::Message;
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage};
use serde_json::{Value, json};

/// Topic, partition and offset of the record, the group, the attempts and the message: Kafka's own names (KIP-1191).
pub const TOPIC: &str = "__dlq.errors.topic";
/// See [`TOPIC`].
pub const PARTITION: &str = "__dlq.errors.partition";
/// See [`TOPIC`].
pub const OFFSET: &str = "__dlq.errors.offset";
/// See [`TOPIC`].
pub const GROUP: &str = "__dlq.errors.group";
/// See [`TOPIC`].
pub const DELIVERY_COUNT: &str = "__dlq.errors.delivery.count";
/// See [`TOPIC`].
pub const MESSAGE: &str = "__dlq.errors.message";
/// [`mcp_core::ErrorCode::as_str`].
pub const ERROR_CODE: &str = "mcp.error.code";
/// `permanent` or `exhausted`.
pub const ERROR_CLASS: &str = "mcp.error.class";
/// JSON, at most [`DETAIL_MAX`] bytes.
pub const ERROR_DETAIL: &str = "mcp.error.detail";
/// The job's id; absent where the record is no envelope.
pub const JOB_ID: &str = "mcp.job.id";
/// The job's type; absent where the record is no envelope.
pub const JOB_TYPE: &str = "mcp.job.type";
/// RFC 3339.
pub const FIRST_ATTEMPT_AT: &str = "mcp.first-attempt-at";
/// RFC 3339.
pub const FAILED_AT: &str = "mcp.failed-at";
/// The worker's client id.
pub const WORKER: &str = "mcp.worker";
/// How often the job was put back from the dead-letter topic.
pub const REDRIVE_COUNT: &str = "mcp.redrive.count";
/// The size of a value that was left out because the dead-letter topic does not take it.
pub const VALUE_OMITTED: &str = "mcp.value.omitted";
/// How many headers of the record were left out, with its key, because the dead-letter topic does not take them.
pub const HEADERS_OMITTED: &str = "mcp.headers.omitted";

const TRACEPARENT: &str = "traceparent";

/// Longest [`ERROR_DETAIL`], in bytes.
pub const DETAIL_MAX: usize = 4_096;

/// How much of the record goes into the dead letter. The next one is tried when the topic does not take one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Key and headers, no value.
    WithoutValue,
    /// Only our own headers.
    HeadersOnly,
}

impl Extent {
    /// What to try when this was too large.
    pub fn smaller(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::WithoutValue),
            Self::WithoutValue => Some(Self::HeadersOnly),
            Self::HeadersOnly => None,
        }
    }
}

/// What is known about a job that failed for good.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The failure that ended it.
    pub failure: Failure,
    /// `permanent` or `exhausted`.
    pub class: Class,
    /// Attempts made.
    pub attempts: u32,
    /// The consumer group.
    pub group: String,
    /// The job's id.
    pub job_id: Option<String>,
    /// The job's type.
    pub job_type: Option<String>,
    /// When the first attempt began, RFC 3339.
    pub first_attempt_at: String,
    /// When it failed, RFC 3339.
    pub failed_at: String,
    /// The worker's client id.
    pub worker: String,
    /// The trace to continue where the record brought none.
    pub traceparent: Option<String>,
}

/// The dead letter's headers.
pub fn headers(record: &OwnedMessage, verdict: &Verdict, extent: Extent) -> OwnedHeaders {
    let added = added(record, verdict, extent);
    let replaced: HashSet<&str> = added.iter().map(|(name, _)| *name).collect();
    let mut headers = OwnedHeaders::new_with_capacity(added.len() + 8);
    if extent != Extent::HeadersOnly {
        for original in record.headers().into_iter().flat_map(Headers::iter) {
            // Those of another dead-letter queue stay: ours stand behind them, and the last one of a name counts.
            let ours = original.key.starts_with("mcp.") && replaced.contains(original.key);
            if !ours {
                headers = headers.insert(original);
            }
        }
    }
    for (name, value) in &added {
        headers = headers.insert(Header {
            key: name,
            value: Some(value),
        });
    }
    headers
}

fn added(record: &OwnedMessage, verdict: &Verdict, extent: Extent) -> Vec<(&'static str, String)> {
    let original = |name: &str| crate::engine::job::header(record, name);
    let mut added = vec![
        (TOPIC, record.topic().to_owned()),
        (PARTITION, record.partition().to_string()),
        (OFFSET, record.offset().to_string()),
        (GROUP, verdict.group.clone()),
        (DELIVERY_COUNT, verdict.attempts.to_string()),
        (MESSAGE, verdict.failure.message.clone()),
        (ERROR_CODE, verdict.failure.code.as_str().to_owned()),
        (ERROR_CLASS, verdict.class.as_str().to_owned()),
        (ERROR_DETAIL, detail(&verdict.failure)),
        (FIRST_ATTEMPT_AT, verdict.first_attempt_at.clone()),
        (FAILED_AT, verdict.failed_at.clone()),
        (WORKER, verdict.worker.clone()),
        (
            REDRIVE_COUNT,
            // Whoever made the record may have written anything there.
            original(REDRIVE_COUNT)
                .and_then(|count| count.parse::<u32>().ok())
                .unwrap_or_default()
                .to_string(),
        ),
    ];
    let optional = [(JOB_ID, &verdict.job_id), (JOB_TYPE, &verdict.job_type)];
    added.extend(optional.into_iter().filter_map(|(name, value)| {
        // A type is whatever the record says: bounded, because it becomes a header.
        Some((name, bounded(value.as_deref()?, 512)))
    }));
    if original(TRACEPARENT).is_none()
        && let Some(traceparent) = &verdict.traceparent
    {
        added.push((TRACEPARENT, traceparent.clone()));
    }
    if extent != Extent::Whole {
        added.push((
            VALUE_OMITTED,
            record.payload().map_or(0, <[u8]>::len).to_string(),
        ));
    }
    if extent == Extent::HeadersOnly {
        let count = record.headers().map_or(0, Headers::count);
        added.push((HEADERS_OMITTED, count.to_string()));
    }
    added
}

fn detail(failure: &Failure) -> String {
    let detail = failure.detail.clone().unwrap_or_else(|| json!({}));
    let text = detail.to_string();
    if text.len() <= DETAIL_MAX {
        return text;
    }
    // JSON must stay JSON: what is cut becomes one string, in which escapes at most double the length.
    Value::from_iter([("cut", bounded(&text, DETAIL_MAX / 2 - 64))]).to_string()
}

#[cfg(test)]
mod tests;
