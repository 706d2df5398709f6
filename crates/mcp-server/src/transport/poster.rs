//! Who posts to a session of 2024-11-05, also to one at another replica.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use mcp_core::idempotency;
use mcp_runtime::trace_context::TRACEPARENT;
use serde::{Deserialize, Serialize};

use crate::access::gate::Principal;

/// The headers that mean something to one call.
const HEADERS: [&str; 2] = [idempotency::HEADER, TRACEPARENT];

/// What the request says beside its message. The rest the client has said with its `GET /sse`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Poster {
    /// The name of the API key that the gate let in.
    key: String,
    headers: Vec<(String, String)>,
}

impl Poster {
    /// Who sent that; None when a header is no text.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        let caller: Option<&Principal> = parts.extensions.get();
        let mut headers = Vec::new();
        for name in HEADERS {
            if let Some(value) = parts.headers.get(name) {
                let value = std::str::from_utf8(value.as_bytes()).ok()?;
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        Some(Self {
            key: caller.map_or("", |caller| caller.key.name()).to_owned(),
            headers,
        })
    }

    /// Whether the session that these parts opened is its own.
    pub(super) fn owns(&self, opened: &Parts) -> bool {
        let opener: Option<&Principal> = opened.extensions.get();
        opener.is_some_and(|opener| opener.key.name() == self.key)
    }

    /// Puts its headers in the place of those of the `GET`.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        for name in HEADERS {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
                headers.insert(name, value);
            }
        }
    }
}
