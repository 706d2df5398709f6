//! What a stub server answers.

use std::{future::pending, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{Call, Connection, Outcome};

/// The answer to one tool call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A JSON-RPC result.
    Result(Value),
    /// A JSON-RPC error object.
    RpcError(Value),
    /// A bare HTTP answer.
    Http {
        /// The status.
        status: u16,
        /// Its headers.
        headers: Vec<(String, String)>,
        /// Its body.
        body: Vec<u8>,
    },
    /// What the other reply would send as JSON, as the last event of a stream, after a notification.
    Sse(Box<Reply>),
    /// The other reply, later.
    Delayed(Duration, Box<Reply>),
    /// No answer, while the connection stays open.
    Hang,
    /// A TCP reset in place of an answer.
    Reset,
}

impl Reply {
    /// Success, with text for people.
    pub fn text(text: &str) -> Reply {
        Reply::Result(json!({
            "resultType": "complete",
            "content": [{"type": "text", "text": text}],
        }))
    }

    /// Success, with a structured result.
    pub fn structured(value: Value) -> Reply {
        Reply::Result(json!({
            "resultType": "complete",
            "content": [{"type": "text", "text": value.to_string()}],
            "structuredContent": value,
        }))
    }

    /// What `server_initialize` answers when the server of `call` started.
    pub fn initialized(call: &Call) -> Reply {
        Reply::structured(json!({
            "name": call.name(),
            "status": "initialized",
            "protocolVersion": "2026-07-28",
            "serverInfo": {"name": "stub", "version": "1"},
            "capabilities": {"tools": {}},
            "tools": [],
            "durationMs": 1,
        }))
    }

    /// A failed tool, with the project's own error in `_meta`.
    pub fn tool_error(code: &str, retryable: bool, message: &str) -> Reply {
        Reply::tool_error_with(json!({"code": code, "retryable": retryable}), message)
    }

    /// A failed tool, with any value as the project's own error in `_meta`.
    pub fn tool_error_with(error: Value, message: &str) -> Reply {
        Reply::Result(json!({
            "resultType": "complete",
            "isError": true,
            "content": [{"type": "text", "text": message}],
            "_meta": {"io.mcp-hybrid/error": error},
        }))
    }

    /// A failed tool of a server that knows nothing of this project.
    pub fn plain_tool_error(message: &str) -> Reply {
        Reply::Result(json!({
            "resultType": "complete",
            "isError": true,
            "content": [{"type": "text", "text": message}],
        }))
    }

    /// A JSON-RPC error.
    pub fn rpc_error(code: i64, message: &str) -> Reply {
        Reply::RpcError(json!({"code": code, "message": message}))
    }

    /// An HTTP status with an empty body.
    pub fn status(status: u16) -> Reply {
        Reply::Http {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// HTTP 200 with this body, said to be JSON.
    pub fn raw_json(body: impl Into<Vec<u8>>) -> Reply {
        Reply::Http {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }

    /// Adds an HTTP header to a [`Reply::status`] or [`Reply::raw_json`].
    ///
    /// # Panics
    ///
    /// On any other reply.
    pub fn header(mut self, name: &str, value: &str) -> Reply {
        match &mut self {
            Reply::Http { headers, .. } => headers.push((name.to_owned(), value.to_owned())),
            other => panic!("{other:?} takes no header"),
        }
        self
    }

    /// The same as an event stream.
    pub fn as_sse(self) -> Reply {
        Reply::Sse(Box::new(self))
    }

    /// The same after a while.
    pub fn after(self, delay: Duration) -> Reply {
        Reply::Delayed(delay, Box::new(self))
    }

    /// Carries the reply out; `outcome` is what the record of the call says if this is dropped on the way.
    pub(super) async fn send(
        mut self,
        id: Value,
        connection: &Connection,
        outcome: &mut Outcome,
    ) -> Response {
        while let Reply::Delayed(delay, reply) = self {
            tokio::time::sleep(delay).await;
            self = *reply;
        }
        match self {
            Reply::Hang => pending().await,
            Reply::Reset => {
                *outcome = Outcome::Reset;
                connection.reset();
                pending().await
            }
            reply => {
                *outcome = Outcome::Answered;
                reply.response(id)
            }
        }
    }

    /// The HTTP answer to the JSON-RPC request `id`.
    pub(super) fn response(self, id: Value) -> Response {
        match self {
            Reply::Http {
                status,
                headers,
                body,
            } => {
                let mut response = body.into_response();
                *response.status_mut() = StatusCode::from_u16(status).expect("an HTTP status");
                response.headers_mut().remove(CONTENT_TYPE);
                for (name, value) in headers {
                    let name = HeaderName::try_from(name).expect("a header name");
                    let value = HeaderValue::try_from(value).expect("a header value");
                    response.headers_mut().append(name, value);
                }
                response
            }
            Reply::Sse(reply) => {
                let progress = json!({
                    "jsonrpc": "2.0",
                    "method": "notifications/message",
                    "params": {"level": "info", "data": "working on it"},
                });
                let answer = reply.message(id);
                let events = format!(
                    ": a comment\n\nevent: message\ndata: {progress}\n\nevent: message\ndata: {answer}\n\n"
                );
                ([(CONTENT_TYPE, "text/event-stream")], events).into_response()
            }
            reply => axum::Json(reply.message(id)).into_response(),
        }
    }

    fn message(self, id: Value) -> Value {
        match self {
            Reply::Result(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Reply::RpcError(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
            other => panic!("{other:?} is no JSON-RPC message"),
        }
    }
}
