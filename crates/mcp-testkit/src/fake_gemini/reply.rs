//! What a fake Gemini answers: the bodies are those of the real one.

use std::{future::pending, time::Duration};

use axum::{
    Json,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{Connection, Outcome};

/// The answer to one request.
#[derive(Clone, Debug)]
pub enum GeminiReply {
    /// Status 200 with that body.
    Answer(Value),
    /// An error with that HTTP status.
    Error {
        /// The HTTP status.
        code: u16,
        /// Google's name for it.
        status: &'static str,
        /// The sentence.
        message: String,
        /// The details.
        details: Value,
    },
    /// Status 200 with that body, said to be JSON.
    Raw(Vec<u8>),
    /// The other reply, later.
    Delayed(Duration, Box<GeminiReply>),
    /// No answer, while the connection stays open.
    Hang,
    /// A TCP reset in place of an answer.
    Reset,
}

impl GeminiReply {
    /// A picture, as the schema of the tools asks for it.
    pub fn svg(svg: &str, title: &str, description: &str) -> GeminiReply {
        let output = json!({"svg": svg, "title": title, "description": description});
        GeminiReply::text(&output.to_string())
    }

    /// A complete answer with this text, after a thought.
    pub fn text(text: &str) -> GeminiReply {
        GeminiReply::finished("STOP", text)
    }

    /// An answer with this text that ended for that reason.
    pub fn finished(reason: &str, text: &str) -> GeminiReply {
        let parts = match text {
            "" => json!([]),
            text => json!([{"text": text, "thoughtSignature": "RmFrZQ=="}]),
        };
        GeminiReply::Answer(json!({
            "candidates": [{
                "content": {"role": "model", "parts": parts},
                "finishReason": reason,
                "index": 0,
            }],
            "usageMetadata": {
                "promptTokenCount": 120,
                "candidatesTokenCount": 340,
                "thoughtsTokenCount": 56,
                "totalTokenCount": 516,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 120}],
            },
            "responseId": "fake",
        }))
    }

    /// An answer that the filters stopped: a candidate without content.
    pub fn stopped(reason: &str) -> GeminiReply {
        GeminiReply::Answer(json!({
            "candidates": [{
                "finishReason": reason,
                "index": 0,
                "safetyRatings": [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH"}],
            }],
            "usageMetadata": {"promptTokenCount": 120, "totalTokenCount": 120},
        }))
    }

    /// A prompt that the filters stopped: no candidate at all.
    pub fn blocked(reason: &str) -> GeminiReply {
        GeminiReply::Answer(json!({
            "promptFeedback": {"blockReason": reason},
            "usageMetadata": {"promptTokenCount": 120, "totalTokenCount": 120},
        }))
    }

    /// No candidate, and no reason.
    pub fn empty() -> GeminiReply {
        GeminiReply::Answer(json!({"usageMetadata": {"promptTokenCount": 120}}))
    }

    /// HTTP 429, the quota a minute: it says how long to wait.
    pub fn quota_a_minute(retry_delay: &str) -> GeminiReply {
        let id = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";
        quota(&[(id, Some("10"))], retry_delay)
    }

    /// HTTP 429, the quota of the day. It says how long to wait, too, but that does not help.
    pub fn quota_a_day() -> GeminiReply {
        let id = "GenerateRequestsPerDayPerProjectPerModel-FreeTier";
        quota(&[(id, Some("20"))], "46s")
    }

    /// HTTP 429, a limit of 0. Protobuf leaves out a value of 0.
    pub fn no_quota() -> GeminiReply {
        let day = "GenerateRequestsPerDayPerProjectPerModel-FreeTier";
        let minute = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";
        quota(&[(day, None), (minute, None)], "1s")
    }

    /// HTTP 429 without a word on quotas: shared capacity is used up.
    pub fn exhausted() -> GeminiReply {
        let message = "Resource has been exhausted (e.g. check quota).";
        GeminiReply::error(429, "RESOURCE_EXHAUSTED", message)
    }

    /// HTTP 503.
    pub fn overloaded() -> GeminiReply {
        let message = "The model is overloaded. Please try again later.";
        GeminiReply::error(503, "UNAVAILABLE", message)
    }

    /// An error without details.
    pub fn error(code: u16, status: &'static str, message: &str) -> GeminiReply {
        GeminiReply::Error {
            code,
            status,
            message: message.to_owned(),
            details: json!([]),
        }
    }

    /// HTTP 200 with this body, said to be JSON.
    pub fn raw(body: impl Into<Vec<u8>>) -> GeminiReply {
        GeminiReply::Raw(body.into())
    }

    /// The same after a while.
    pub fn after(self, delay: Duration) -> GeminiReply {
        GeminiReply::Delayed(delay, Box::new(self))
    }

    /// Carries the reply out; `outcome` is what the record of the request says if this is dropped on the way.
    pub(super) async fn send(
        mut self,
        model: &str,
        connection: &Connection,
        outcome: &mut Outcome,
    ) -> Response {
        while let GeminiReply::Delayed(delay, reply) = self {
            tokio::time::sleep(delay).await;
            self = *reply;
        }
        if let GeminiReply::Hang = self {
            pending::<()>().await;
        }
        if let GeminiReply::Reset = self {
            *outcome = Outcome::Reset;
            connection.reset();
            pending::<()>().await;
        }
        *outcome = Outcome::Answered;
        match self {
            GeminiReply::Answer(mut body) => {
                body["modelVersion"] = model.into();
                Json(body).into_response()
            }
            GeminiReply::Error {
                code,
                status,
                message,
                details,
            } => error(code, status, &message, details),
            GeminiReply::Raw(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            GeminiReply::Delayed(..) | GeminiReply::Hang | GeminiReply::Reset => {
                unreachable!("they are no answers")
            }
        }
    }
}

/// The body of an error.
pub(super) fn error(code: u16, status: &str, message: &str, details: Value) -> Response {
    let mut error = json!({"code": code, "message": message, "status": status});
    if details
        .as_array()
        .is_some_and(|details| !details.is_empty())
    {
        error["details"] = details;
    }
    let code = StatusCode::from_u16(code).expect("an HTTP status");
    (code, Json(json!({"error": error}))).into_response()
}

fn quota(violated: &[(&str, Option<&str>)], retry_delay: &str) -> GeminiReply {
    let metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests";
    let mut message = "You exceeded your current quota, please check your plan and billing details. For more information \
                       on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. "
        .to_owned();
    let mut violations = Vec::new();
    for (id, value) in violated {
        let limit = value.unwrap_or("0");
        message.push_str(&format!(
            "\n* Quota exceeded for metric: {metric}, limit: {limit}, model: gemini-3.8-flash"
        ));
        let mut violation = json!({
            "quotaMetric": metric,
            "quotaId": id,
            "quotaDimensions": {"location": "global", "model": "gemini-3.8-flash"},
        });
        if let Some(value) = value {
            violation["quotaValue"] = (*value).into();
        }
        violations.push(violation);
    }
    message.push_str(&format!("\nPlease retry in {retry_delay}."));
    let details = json!([
        {
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [{
                "description": "Learn more about Gemini API quotas",
                "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
            }],
        },
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_delay},
    ]);
    GeminiReply::Error {
        code: 429,
        status: "RESOURCE_EXHAUSTED",
        message,
        details,
    }
}
