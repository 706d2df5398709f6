//! What a stub server was asked.

use axum::http::HeaderMap;
use serde_json::Value;

/// One `tools/call` request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Counts all calls of this server, from 1.
    pub number: usize,
    /// Counts the calls with the same idempotency key, from 1; without a key those with the same tool and arguments.
    pub attempt: usize,
    /// The tool's name.
    pub tool: String,
    /// The tool's arguments.
    pub arguments: Value,
    /// `_meta` of the request; null without one.
    pub meta: Value,
    /// The path it was posted to.
    pub path: String,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The whole JSON-RPC request.
    pub body: Value,
}

impl Call {
    pub(super) fn new(number: usize, headers: HeaderMap, path: &str, body: Value) -> Call {
        let params = &body["params"];
        Call {
            number,
            attempt: 0,
            tool: params["name"].as_str().unwrap_or_default().to_owned(),
            arguments: params["arguments"].clone(),
            meta: params["_meta"].clone(),
            path: path.to_owned(),
            headers,
            body,
        }
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The header `Idempotency-Key`.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.header("idempotency-key")
    }

    /// The argument `name`, which `server_initialize` has.
    pub fn name(&self) -> &str {
        self.arguments["name"].as_str().unwrap_or_default()
    }

    pub(super) fn identity(&self) -> String {
        match self.idempotency_key() {
            Some(key) => key.to_owned(),
            None => format!("{} {}", self.tool, self.arguments),
        }
    }
}

/// A call and when it ran. `started` and the number in `ended` come from one counter, so they tell what overlapped.
#[derive(Clone, Debug)]
pub struct SeenCall {
    /// The request.
    pub call: Call,
    /// When it arrived.
    pub started: usize,
    /// When and how it ended; `None` while it runs.
    pub ended: Option<(usize, Outcome)>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer went out.
    Answered,
    /// The plan said to reset the connection.
    Reset,
    /// The caller went away, or the server was stopped, before there was an answer.
    Abandoned,
}

impl SeenCall {
    /// Whether this call and `other` ran at the same time.
    pub fn overlaps(&self, other: &SeenCall) -> bool {
        let end = |call: &SeenCall| call.ended.map_or(usize::MAX, |(at, _)| at);
        self.started < end(other) && other.started < end(self)
    }
}
