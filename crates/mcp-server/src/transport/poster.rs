//! Who posts to a session of 2024-11-05, also to one at another replica.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use mcp_core::idempotency;
use mcp_runtime::trace_context::TRACEPARENT;
use serde::{Deserialize, Serialize};

use crate::access::gate::{PeerAddress, Principal};
use crate::access::{Access, ApiKey};

/// The headers that mean something to one call.
const HEADERS: [&str; 2] = [idempotency::HEADER, TRACEPARENT];

/// What the request says beside its message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Poster {
    /// The name of the API key that the gate let in.
    key: String,
    /// Which of the keys of that name. A replica of before this does not say.
    #[serde(default)]
    id: String,
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
            id: caller.map_or("", |caller| caller.key.id()).to_owned(),
            headers,
        })
    }

    /// Whether the session that this key opened is its own.
    pub(super) fn owns(&self, opener: &ApiKey) -> bool {
        opener.name() == self.key
    }

    /// Its key as this replica has it: with the scopes of now, which may not be those of when the stream was opened.
    pub(super) fn key(&self, access: &Access, opener: &Arc<ApiKey>) -> Option<Arc<ApiKey>> {
        if self.id.is_empty() {
            return Some(Arc::clone(opener));
        }
        access.named(&self.key, &self.id)
    }

    /// What the call's handler sees of its request: the same at every replica.
    pub(super) fn parts(&self, caller: Principal, peer: Option<PeerAddress>) -> Parts {
        let mut parts = Request::new(()).into_parts().0;
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
                parts.headers.insert(name, value);
            }
        }
        parts.extensions.insert(caller);
        if let Some(peer) = peer {
            parts.extensions.insert(peer);
        }
        parts
    }
}
