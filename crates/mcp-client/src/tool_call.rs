//! A tool call, and what its result means.

use std::time::Duration;

use mcp_core::text::{bounded, shape_error};
use mcp_core::tool::ERROR_META_KEY;
use mcp_core::{Blame, Class, ErrorCode, Failure, IdempotencyKey, ToolError};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::redaction::Redaction;
use crate::refusal::EXCERPT_MAX;

/// Largest detail of a tool error that is kept, in bytes of JSON.
const DETAIL_MAX: usize = 4 * 1024;

/// One call of a tool.
#[derive(Clone, Copy, Debug)]
pub struct ToolCall<'a> {
    /// The tool's name.
    pub tool: &'a str,
    /// Its arguments. String values in `env` and `headers` are taken for secrets and kept out of errors.
    pub arguments: &'a Map<String, Value>,
    /// The key by which the server knows a repeated call.
    pub idempotency_key: Option<&'a IdempotencyKey>,
    /// W3C trace context: `traceparent`, `tracestate`, `baggage`. Sent as headers and in `_meta`.
    pub trace: &'a [(String, String)],
    /// How long the call may take, the handshake included where one is needed.
    pub timeout: Duration,
}

/// The result of a tool that succeeded.
#[derive(Clone, Debug, PartialEq)]
pub struct CallToolResult {
    /// The result as the server sent it.
    pub raw: Map<String, Value>,
}

impl CallToolResult {
    /// The content for people and models.
    pub fn content(&self) -> &[Value] {
        let content = self.raw.get("content").and_then(Value::as_array);
        content.map_or(&[], Vec::as_slice)
    }

    /// The first text in the content.
    pub fn text(&self) -> Option<&str> {
        first_text(&self.raw)
    }

    /// The result for programs, from tools that have an output schema.
    pub fn structured_content(&self) -> Option<&Value> {
        self.raw.get("structuredContent")
    }

    /// The result for programs as the tool's own type.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidAnswer`] if there is none, or it has another shape.
    pub fn output<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let invalid = |what: String| Failure::new(ErrorCode::InvalidAnswer, what);
        let Some(structured) = self.structured_content() else {
            return Err(invalid("the result has no structuredContent".into()));
        };
        T::deserialize(structured).map_err(|error| {
            let what = shape_error(&error);
            invalid(format!(
                "structuredContent is not what was expected: {what}"
            ))
        })
    }
}

/// Success, or the failure that the result tells of.
pub(crate) fn outcome(
    result: Map<String, Value>,
    default_retry: bool,
    redaction: &Redaction,
) -> Result<CallToolResult, Failure> {
    match result
        .get("resultType")
        .map(|kind| kind.as_str().unwrap_or(""))
    {
        // Versions before 2026-07-28 have no result types.
        None | Some("complete") => {}
        Some("input_required") => {
            let message =
                "the tool asks for input (`resultType: input_required`), which a job cannot give";
            return Err(Failure::new(ErrorCode::InputRequired, message));
        }
        Some(other) => {
            let message = format!(
                "the result is of a kind unknown to this client: {:?}",
                bounded(other, 100)
            );
            return Err(Failure::new(ErrorCode::UnsupportedVersion, message));
        }
    }
    if result.get("isError").and_then(Value::as_bool) == Some(true) {
        return Err(tool_failure(&result, default_retry, redaction));
    }
    if result
        .get("content")
        .is_some_and(|content| !content.is_array())
    {
        let message = "the answer is no tool result: `content` is no array";
        return Err(Failure::new(ErrorCode::InvalidAnswer, message));
    }
    Ok(CallToolResult { raw: result })
}

fn tool_failure(
    result: &Map<String, Value>,
    default_retry: bool,
    redaction: &Redaction,
) -> Failure {
    let message = match first_text(result) {
        Some(text) => bounded(&redaction.text(text), 2 * EXCERPT_MAX),
        None => "the tool reported an error without a text".into(),
    };
    let in_meta = result
        .get("_meta")
        .and_then(|meta| meta.get(ERROR_META_KEY));
    let said = in_meta
        .and_then(|error| read_error(error, redaction))
        .or_else(|| {
            let structured = result.get("structuredContent")?;
            read_error(structured, redaction)
        });
    let Some(error) = said else {
        return Failure::new(by_retryable(default_retry), message);
    };
    let ours = ErrorCode::parse(&error.code)
        .is_none_or(|code| code.class() != Class::Fatal && code.blame() == Blame::Job);
    if ours {
        return error.into_failure(&message);
    }
    // Codes that stop a worker or count against its server are not a tool's to give.
    let retry_after = error.retry_after_ms.map(Duration::from_millis);
    Failure::new(by_retryable(error.retryable), message)
        .with_retry_after(retry_after)
        .with_detail(json!({"toolCode": error.code, "toolDetail": error.detail}))
}

fn by_retryable(retryable: bool) -> ErrorCode {
    match retryable {
        true => ErrorCode::ToolUnavailable,
        false => ErrorCode::ToolFailed,
    }
}

/// `{code?, retryable?, retryAfterMs?, detail?}`, if it says whether to try again: by `retryable`, or by a code of ours.
fn read_error(value: &Value, redaction: &Redaction) -> Option<ToolError> {
    let code = match value.get("code") {
        Some(Value::String(code)) => Some(bounded(&redaction.text(code), 100)),
        Some(Value::Number(code)) => Some(code.to_string()),
        _ => None,
    };
    let retryable = match value.get("retryable") {
        Some(Value::Bool(retryable)) => *retryable,
        _ => ErrorCode::parse(code.as_deref()?)?.is_retryable(),
    };
    let detail = value.get("detail").filter(|detail| !detail.is_null());
    Some(ToolError {
        code: code.unwrap_or_else(|| by_retryable(retryable).as_str().into()),
        retryable,
        retry_after_ms: value
            .get("retryAfterMs")
            .and_then(Value::as_u64)
            .filter(|_| retryable),
        detail: detail.map(|detail| {
            let text = redaction.text(&detail.to_string());
            match text.len() > DETAIL_MAX {
                true => Value::String(bounded(&text, DETAIL_MAX)),
                false => detail.clone(),
            }
        }),
    })
}

fn first_text(result: &Map<String, Value>) -> Option<&str> {
    let content = result.get("content")?.as_array()?;
    content.iter().find_map(|part| part.get("text")?.as_str())
}

#[cfg(test)]
mod tests;
