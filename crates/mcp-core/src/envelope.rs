//! `ScheduledJobEnvelope`, the record that job schedulers put on Kafka.
//!
//! ```json
//! {"jobID":"job-123","jobType":"server-init","payload":"{\"mcpServers\":{…}}"}
//! ```
//!
//! `payload` is a string that holds JSON, or an object. `notBefore` and `expiresAt` are RFC 3339. Unknown fields are
//! kept. The envelope may also be the data of a CloudEvent in structured mode; in binary mode the value is the
//! envelope itself (CloudEvents Kafka protocol binding 1.0.2, §3).

use base64::Engine as _;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::error_code::ErrorCode;
use crate::failure::Failure;
use crate::text::shape_error;

/// Longest `jobID`, in bytes: it becomes part of a header, a key and a log line.
pub const JOB_ID_MAX: usize = 512;

/// Longest `jobType`, in bytes.
pub const JOB_TYPE_MAX: usize = 128;

const CLOUD_EVENT_CONTENT_TYPE: &str = "application/cloudevents";

/// A scheduled job, as it stands on the topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object with `jobID`, `jobType` and `payload`")]
pub struct JobEnvelope {
    /// The scheduler's id of the job; unique for a job, the same for each delivery of it.
    #[serde(rename = "jobID", alias = "job_id")]
    pub job_id: String,
    /// What kind of job it is; see [`crate::JobType`].
    #[serde(rename = "jobType", alias = "job_type")]
    pub job_type: String,
    /// The arguments, as JSON text.
    #[serde(deserialize_with = "text_or_object")]
    pub payload: String,
    /// Not to be started before this time.
    #[serde(rename = "notBefore", default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// Not to be started after this time.
    #[serde(rename = "expiresAt", default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Fields of no meaning here, kept as they came.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl JobEnvelope {
    /// Reads a record's value. `content_type` is the record header of that name, if any: with
    /// `application/cloudevents…` the envelope is taken from the event's `data` or `data_base64`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRecord`], with what was wrong and where in the value.
    pub fn decode(value: Option<&[u8]>, content_type: Option<&str>) -> Result<Self, Failure> {
        let invalid = |what: String| Failure::new(ErrorCode::InvalidRecord, what);
        let value = value.ok_or_else(|| invalid("the record's value is null".into()))?;
        if value.is_empty() {
            return Err(invalid("the record's value is empty".into()));
        }
        if let Err(error) = std::str::from_utf8(value) {
            let at = error.valid_up_to();
            return Err(invalid(format!(
                "the record's value is not UTF-8 at byte {at}"
            )));
        }
        let envelope: Self = if content_type.is_some_and(is_cloud_event) {
            from_cloud_event(value)?
        } else {
            serde_json::from_slice(value).map_err(|error| invalid(describe(&error)))?
        };
        if envelope.job_id.is_empty() {
            return Err(invalid("`jobID` is empty".into()));
        }
        if envelope.job_type.len() > JOB_TYPE_MAX {
            let length = envelope.job_type.len();
            return Err(invalid(format!(
                "`jobType` has {length} bytes, {JOB_TYPE_MAX} are allowed"
            )));
        }
        if envelope.job_id.len() > JOB_ID_MAX {
            let length = envelope.job_id.len();
            return Err(invalid(format!(
                "`jobID` has {length} bytes, {JOB_ID_MAX} are allowed"
            )));
        }
        Ok(envelope)
    }
}

/// What serde_json says, as a sentence about a record: shape errors name line and column.
pub(crate) fn describe(error: &serde_json::Error) -> String {
    match error.classify() {
        serde_json::error::Category::Data => format!("not a job envelope: {}", shape_error(error)),
        _ => format!("not JSON: {error}"),
    }
}

fn is_cloud_event(content_type: &str) -> bool {
    content_type
        .trim_start()
        .to_ascii_lowercase()
        .starts_with(CLOUD_EVENT_CONTENT_TYPE)
}

#[derive(Deserialize)]
struct CloudEvent {
    data: Option<Value>,
    data_base64: Option<String>,
}

fn from_cloud_event(value: &[u8]) -> Result<JobEnvelope, Failure> {
    let invalid = |what: String| Failure::new(ErrorCode::InvalidRecord, what);
    let event: CloudEvent = serde_json::from_slice(value)
        .map_err(|error| invalid(format!("not a CloudEvent: {}", shape_error(&error))))?;
    let data = |error: serde_json::Error| {
        invalid(format!("in the CloudEvent's data: {}", describe(&error)))
    };
    match (event.data, event.data_base64) {
        (Some(Value::String(text)), _) => serde_json::from_str(&text).map_err(data),
        (Some(object), _) => serde_json::from_value(object).map_err(data),
        (None, Some(encoded)) => {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .map_err(|error| invalid(format!("the CloudEvent's `data_base64`: {error}")))?;
            serde_json::from_slice(&bytes).map_err(data)
        }
        (None, None) => Err(invalid("the CloudEvent has no data".into())),
    }
}

fn text_or_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        object @ Value::Object(_) => Ok(object.to_string()),
        _ => Err(serde::de::Error::custom(
            "`payload` must be a string that holds JSON, or an object",
        )),
    }
}

#[cfg(test)]
mod tests;
