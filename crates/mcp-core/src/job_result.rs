//! The record on the result topic: one for each finished job.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::tool::svg::ArtifactRef;

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

impl JobResult {
    /// The same without what makes it large, for where it has no room: the size of what is left out, and where that is kept.
    /// Nothing is cut. The code and class of an error stay.
    #[must_use]
    pub fn without_contents(&self) -> Self {
        let size = |value: &Value| value.to_string().len();
        let result = self.result.as_ref().map(|value| {
            let mut left = json!({"omittedBytes": size(value)});
            let artifacts = artifacts(value);
            if !artifacts.is_empty() {
                left["artifacts"] = json!(artifacts);
            }
            left
        });
        let error = self.error.as_ref().map(|error| {
            json!({"code": error["code"], "class": error["class"], "omittedBytes": size(error)})
        });
        Self {
            result,
            error,
            ..self.clone()
        }
    }
}

/// The artifacts that a tool's result, or those of a job's steps, refer to.
fn artifacts(result: &Value) -> Vec<ArtifactRef> {
    let steps = result
        .as_object()
        .into_iter()
        .flat_map(|steps| steps.values());
    std::iter::once(result)
        .chain(steps)
        .filter_map(|answer| ArtifactRef::deserialize(answer.get("artifact")?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(result: Option<Value>, error: Option<Value>) -> JobResult {
        JobResult {
            job_id: Some("job-123".into()),
            job_type: Some("svg-generate".into()),
            status: JobStatus::Succeeded,
            attempts: 1,
            started_at: "2026-11-21T08:00:00.000Z".into(),
            finished_at: "2026-11-21T08:00:01.000Z".into(),
            result,
            error,
        }
    }

    #[test]
    fn what_has_no_room_is_referred_to() {
        let artifact = json!({
            "uri": "http://h/artifacts/aa.svg", "sha256": "aa", "size": 9, "mimeType": "image/svg+xml",
            "expiresAt": "2026-11-28T08:00:00Z",
        });
        let whole = json!({"svg": "<svg/>", "artifact": artifact});
        let omitted = whole.to_string().len();
        let left = finished(Some(whole.clone()), None).without_contents();
        assert_eq!(
            left.result,
            Some(json!({"omittedBytes": omitted, "artifacts": [artifact]}))
        );
        let steps = json!({"a": whole, "b": {"artifact": "none"}, "c": {}});
        let left = finished(Some(steps), None).without_contents();
        assert_eq!(left.result.unwrap()["artifacts"], json!([artifact]));
        let other = finished(Some(json!([1, 2])), None).without_contents();
        assert_eq!(other.result, Some(json!({"omittedBytes": 5})));
    }

    #[test]
    fn the_code_of_an_error_stays() {
        let error = json!({"code": "svg-rejected", "class": "permanent", "message": "no"});
        let left = finished(None, Some(error)).without_contents();
        let kept = left.error.unwrap();
        assert_eq!(
            (&kept["code"], &kept["class"]),
            (&json!("svg-rejected"), &json!("permanent"))
        );
        assert_eq!((kept.get("message"), left.result), (None, None));
    }

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
