//! The record on the result topic: one for each finished job.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobStatus {
    /// Every step answered with success.
    Succeeded,
    /// The job is in the dead-letter topic.
    DeadLettered,
}

/// `{jobID, jobType, status, attempts, startedAt, finishedAt, result | error}`; times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobResult {
    /// The job's id; absent where the record was no envelope.
    #[serde(rename = "jobID")]
    pub job_id: Option<String>,
    /// The job's type; absent where the record was no envelope.
    pub job_type: Option<String>,
    /// How it ended.
    pub status: JobStatus,
    /// Attempts made.
    pub attempts: u32,
    /// When the first attempt began.
    pub started_at: String,
    /// When the outcome was known.
    pub finished_at: String,
    /// What the tools answered, by step; with `succeeded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// `{code, class, message, detail?}`; with `dead-lettered`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_contract() {
        let result = JobResult {
            job_id: Some("job-123".into()),
            job_type: Some("server-init".into()),
            status: JobStatus::Succeeded,
            attempts: 1,
            started_at: "2026-11-21T08:00:00.000Z".into(),
            finished_at: "2026-11-21T08:00:01.000Z".into(),
            result: Some(serde_json::json!({"a": 1})),
            error: None,
        };
        assert_eq!(
            serde_json::to_string(&result).unwrap(),
            r#"{"jobID":"job-123","jobType":"server-init","status":"succeeded","attempts":1,"startedAt":"2026-11-21T08:00:00.000Z","finishedAt":"2026-11-21T08:00:01.000Z","result":{"a":1}}"#
        );
    }
}
