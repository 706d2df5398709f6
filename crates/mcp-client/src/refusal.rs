//! An answer that is no result: an HTTP error status, a JSON-RPC error, or both.

use std::time::Duration;

use mcp_core::{ErrorCode, Failure, text::bounded};
use serde_json::{Value, json};

use crate::json_rpc::{LEGACY, MODERN, RpcError};

/// Longest excerpt of the server's words, in bytes.
pub(crate) const EXCERPT_MAX: usize = 512;

/// What the server said instead of a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    /// The HTTP status; 200 when only the JSON-RPC body says that it failed.
    pub(crate) status: u16,
    /// The JSON-RPC error, if the body is one.
    pub(crate) rpc: Option<RpcError>,
    /// The server's words, bounded and free of our secrets.
    pub(crate) text: String,
    /// `Retry-After`.
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// The more precise of what the status and the JSON-RPC code mean. A status that asks to try again later, and one
    /// about authorisation, are about more than this message, so they win.
    pub(crate) fn code(&self) -> ErrorCode {
        let by_status = ErrorCode::from_http_status(self.status);
        match (&self.rpc, by_status) {
            (Some(rpc), _) if self.status < 300 => ErrorCode::from_json_rpc(rpc.code),
            (_, ErrorCode::Unauthorized | ErrorCode::Forbidden) => by_status,
            (Some(rpc), _) if !by_status.is_retryable() => ErrorCode::from_json_rpc(rpc.code),
            _ => by_status,
        }
    }

    pub(crate) fn into_failure(self) -> Failure {
        let code = self.code();
        let said = match self.text.is_empty() {
            true => String::new(),
            false => format!(": {}", self.text),
        };
        let (message, detail) = match &self.rpc {
            Some(rpc) => (
                format!(
                    "the server answered HTTP {}, JSON-RPC error {}{said}",
                    self.status, rpc.code
                ),
                json!({"httpStatus": self.status, "jsonRpcCode": rpc.code}),
            ),
            None if (300..400).contains(&self.status) => (
                format!(
                    "the server answered HTTP {}, a redirect, which is not followed: set the URL to the final one{said}",
                    self.status
                ),
                json!({"httpStatus": self.status}),
            ),
            None => (
                format!("the server answered HTTP {}{said}", self.status),
                json!({"httpStatus": self.status}),
            ),
        };
        let message = match code {
            ErrorCode::UnsupportedVersion => format!("{message}; {}", self.versions()),
            _ => message,
        };
        Failure::new(code, message)
            .with_retry_after(self.retry_after.filter(|_| code.is_retryable()))
            .with_detail(detail)
    }

    /// The versions that the server says it supports.
    pub(crate) fn supported(&self) -> impl Iterator<Item = &str> {
        self.rpc
            .iter()
            .filter_map(|rpc| rpc.data.get("supported")?.as_array())
            .flatten()
            .filter_map(Value::as_str)
    }

    fn versions(&self) -> String {
        let theirs: Vec<_> = self.supported().take(10).map(|v| bounded(v, 20)).collect();
        format!(
            "it supports {}; this client {MODERN}, {}",
            if theirs.is_empty() {
                "none that it names".into()
            } else {
                theirs.join(", ")
            },
            LEGACY.join(", ")
        )
    }

    /// Whether the server's words hold one of `words`, whatever the case.
    pub(crate) fn mentions(&self, words: &[&str]) -> bool {
        let text = self.text.to_lowercase();
        words.iter().any(|word| text.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_core::Class;

    fn refusal(status: u16, rpc: Option<i64>) -> Refusal {
        Refusal {
            status,
            rpc: rpc.map(|code| RpcError {
                code,
                message: String::new(),
                data: Value::Null,
            }),
            text: "words".into(),
            retry_after: Some(Duration::from_secs(3)),
        }
    }

    #[test]
    fn the_more_precise_meaning_wins_and_transient_statuses_stay_transient() {
        for (status, rpc, code) in [
            (400, None, ErrorCode::RequestRejected),
            (400, Some(-32602), ErrorCode::InvalidArguments),
            (400, Some(-32603), ErrorCode::ServerError),
            (404, None, ErrorCode::EndpointNotFound),
            (404, Some(-32601), ErrorCode::RequestRejected),
            (401, Some(-32600), ErrorCode::Unauthorized),
            (403, Some(-32000), ErrorCode::Forbidden),
            (429, Some(-32600), ErrorCode::RateLimited),
            (503, Some(-32602), ErrorCode::ServerUnavailable),
            (200, Some(-32603), ErrorCode::ServerError),
            (200, Some(-32601), ErrorCode::RequestRejected),
            (307, None, ErrorCode::RequestRejected),
        ] {
            assert_eq!(refusal(status, rpc).code(), code, "{status} {rpc:?}");
        }
    }

    #[test]
    fn only_a_failure_that_is_tried_again_says_when() {
        let wait = |status| {
            let failure = refusal(status, None).into_failure();
            (failure.class(), failure.retry_after)
        };
        assert_eq!(wait(503), (Class::Transient, Some(Duration::from_secs(3))));
        assert_eq!(wait(400), (Class::Permanent, None));
    }
}
