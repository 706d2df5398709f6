//! JSON-RPC 2.0 messages as MCP uses them: what is sent, and what comes back.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use mcp_core::{IdempotencyKey, idempotency};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::param_headers::header_value;

/// The version that is tried first.
pub(crate) const MODERN: &str = "2026-07-28";
/// Versions with an `initialize` handshake, newest first.
pub(crate) const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

pub(crate) const VERSION_HEADER: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");
const METHOD_HEADER: HeaderName = HeaderName::from_static("mcp-method");
const NAME_HEADER: HeaderName = HeaderName::from_static("mcp-name");

/// Headers of the W3C trace context; in `_meta` they have the same names.
const TRACE_HEADERS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// One request of ours, in no particular era yet.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) params: Params<'a>,
    idempotency_key: Option<&'a IdempotencyKey>,
    trace: Vec<(&'static str, &'a str, HeaderValue)>,
}

/// The members of `params` beside `_meta`.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Params<'a> {
    Call {
        name: &'a str,
        arguments: &'a Map<String, Value>,
    },
    Page {
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<&'a str>,
    },
    Initialize {
        #[serde(rename = "protocolVersion")]
        protocol_version: &'static str,
        capabilities: Nothing,
        #[serde(rename = "clientInfo")]
        client_info: ClientInfo,
    },
    None {},
}

#[derive(Serialize)]
struct Envelope<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<WithMeta<'a>>,
}

#[derive(Serialize)]
struct WithMeta<'a> {
    #[serde(rename = "_meta", skip_serializing_if = "Meta::is_empty")]
    meta: Meta<'a>,
    #[serde(flatten)]
    rest: &'a Params<'a>,
}

/// The `_meta` of a request.
struct Meta<'a> {
    is_modern: bool,
    request: &'a Request<'a>,
}

impl Meta<'_> {
    fn is_empty(&self) -> bool {
        !self.is_modern && self.request.idempotency_key.is_none() && self.request.trace.is_empty()
    }
}

impl Serialize for Meta<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut meta = serializer.serialize_map(None)?;
        if self.is_modern {
            meta.serialize_entry("io.modelcontextprotocol/protocolVersion", MODERN)?;
            meta.serialize_entry("io.modelcontextprotocol/clientInfo", &CLIENT_INFO)?;
            meta.serialize_entry("io.modelcontextprotocol/clientCapabilities", &NOTHING)?;
        }
        if let Some(key) = self.request.idempotency_key {
            meta.serialize_entry(idempotency::META_KEY, key.as_str())?;
        }
        for (name, value, _) in &self.request.trace {
            meta.serialize_entry(name, value)?;
        }
        meta.end()
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ClientInfo {
    name: &'static str,
    version: &'static str,
}

const CLIENT_INFO: ClientInfo = ClientInfo {
    name: "mcp-hybrid",
    version: env!("CARGO_PKG_VERSION"),
};

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Nothing {}

const NOTHING: Nothing = Nothing {};

impl<'a> Request<'a> {
    pub(crate) fn new(method: &'static str, params: Params<'a>) -> Self {
        Self {
            method,
            params,
            idempotency_key: None,
            trace: Vec::new(),
        }
    }

    pub(crate) fn initialize() -> Self {
        let params = Params::Initialize {
            protocol_version: LEGACY[0],
            capabilities: NOTHING,
            client_info: CLIENT_INFO,
        };
        Self::new("initialize", params)
    }

    pub(crate) fn with_idempotency_key(mut self, key: Option<&'a IdempotencyKey>) -> Self {
        self.idempotency_key = key;
        self
    }

    /// Names that are no trace headers, and values that no header can carry, are left out.
    pub(crate) fn with_trace(mut self, trace: &'a [(String, String)]) -> Self {
        for (name, value) in trace {
            let known = TRACE_HEADERS
                .into_iter()
                .find(|t| name.eq_ignore_ascii_case(t));
            if let (Some(name), Ok(header)) = (known, HeaderValue::try_from(value)) {
                self.trace.push((name, value, header));
            }
        }
        self
    }

    /// Headers and body in the form of 2026-07-28.
    pub(crate) fn modern(&self, id: u64) -> (HeaderMap, Vec<u8>) {
        let mut headers = self.headers();
        headers.insert(VERSION_HEADER, HeaderValue::from_static(MODERN));
        headers.insert(METHOD_HEADER, HeaderValue::from_static(self.method));
        if let Params::Call { name, .. } = &self.params {
            headers.insert(NAME_HEADER, header_value(name));
        }
        (headers, self.body(Some(id), true))
    }

    /// Headers and body in the form of the versions before; `id` is absent in a notification.
    pub(crate) fn legacy(&self, id: Option<u64>) -> (HeaderMap, Vec<u8>) {
        (self.headers(), self.body(id, false))
    }

    /// The headers of any era.
    fn headers(&self) -> HeaderMap {
        // Room for all that come: a map that grows is hashed anew.
        let mut headers = HeaderMap::with_capacity(16);
        if let Some(key) = self.idempotency_key
            && let Ok(value) = HeaderValue::try_from(key.to_header())
        {
            headers.insert(HeaderName::from_static(idempotency::HEADER), value);
        }
        for (name, _, value) in &self.trace {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
        headers
    }

    fn body(&self, id: Option<u64>, is_modern: bool) -> Vec<u8> {
        let meta = Meta {
            is_modern,
            request: self,
        };
        let bare = meta.is_empty() && matches!(self.params, Params::None {});
        let envelope = Envelope {
            jsonrpc: "2.0",
            id,
            method: self.method,
            params: (!bare).then_some(WithMeta {
                meta,
                rest: &self.params,
            }),
        };
        serde_json::to_vec(&envelope)
            .unwrap_or_else(|error| unreachable!("only strings are keys: {error}"))
    }
}

/// An error object of the other side.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Value,
}

/// What a message of the other side is to us.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Incoming {
    /// The result of our request.
    Result(Map<String, Value>),
    /// The error of our request.
    Error(RpcError),
    /// A request to us, with its id.
    Request { id: Value, method: String },
    /// A notification, or the response to something else.
    Other,
}

impl Incoming {
    /// Sorts one message. An error without an id is about our request: it is the only one on its connection.
    ///
    /// # Errors
    /// What makes it no JSON-RPC message.
    pub(crate) fn read(message: Value, our_id: u64) -> Result<Self, &'static str> {
        let Value::Object(mut message) = message else {
            return Err("it is no object");
        };
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err("`jsonrpc` is not \"2.0\"");
        }
        let id = message.remove("id").unwrap_or(Value::Null);
        if let Some(Value::String(method)) = message.remove("method") {
            return Ok(match id.is_null() {
                true => Self::Other,
                false => Self::Request { id, method },
            });
        }
        let ours = id == our_id;
        if let Some(error) = message.remove("error") {
            let error = RpcError::read(error).ok_or("`error` has no code")?;
            return Ok(match ours || id.is_null() {
                true => Self::Error(error),
                false => Self::Other,
            });
        }
        match message.remove("result") {
            Some(Value::Object(result)) if ours => Ok(Self::Result(result)),
            Some(Value::Object(_)) => Ok(Self::Other),
            Some(_) => Err("`result` is no object"),
            None => Err("it has neither `result` nor `error`"),
        }
    }
}

impl RpcError {
    fn read(error: Value) -> Option<Self> {
        let Value::Object(mut error) = error else {
            return None;
        };
        Some(Self {
            code: error.get("code")?.as_i64()?,
            message: match error.remove("message") {
                Some(Value::String(message)) => message,
                _ => String::new(),
            },
            data: error.remove("data").unwrap_or(Value::Null),
        })
    }
}

/// Our answer to a request of the other side: `ping` gets its empty result, anything else is not ours to do.
pub(crate) fn reply_to(id: &Value, method: &str) -> Vec<u8> {
    let reply = match method {
        "ping" => json!({"jsonrpc": "2.0", "id": id, "result": {}}),
        _ => json!({"jsonrpc": "2.0", "id": id,
            "error": {"code": -32601, "message": "this client takes no requests"}}),
    };
    reply.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_sorted_by_its_members() {
        let read = |value| Incoming::read(value, 7);
        assert_eq!(
            read(json!({"jsonrpc": "2.0", "id": 7, "result": {"a": 1}})),
            Ok(Incoming::Result(
                json!({"a": 1}).as_object().unwrap().clone()
            ))
        );
        let error = RpcError {
            code: -32603,
            message: "m".into(),
            data: Value::Null,
        };
        for id in [json!(7), Value::Null] {
            let message =
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": "m"}});
            assert_eq!(read(message), Ok(Incoming::Error(error.clone())));
        }
        assert_eq!(
            read(json!({"jsonrpc": "2.0", "id": "s", "method": "ping"})),
            Ok(Incoming::Request {
                id: "s".into(),
                method: "ping".into()
            })
        );
        for other in [
            json!({"jsonrpc": "2.0", "method": "notifications/message"}),
            json!({"jsonrpc": "2.0", "id": 8, "result": {}}),
        ] {
            assert_eq!(read(other), Ok(Incoming::Other));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for message in [
            json!([]),
            json!({"id": 7, "result": {}}),
            json!({"jsonrpc": "2.0", "id": 7}),
            json!({"jsonrpc": "2.0", "id": 7, "result": "text"}),
            json!({"jsonrpc": "2.0", "id": 7, "error": "text"}),
        ] {
            assert!(Incoming::read(message.clone(), 7).is_err(), "{message}");
        }
    }
}
