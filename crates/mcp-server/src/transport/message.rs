//! A JSON-RPC message, looked at without building its contents.

use std::borrow::Cow;

use rmcp::ErrorData;
use rmcp::model::{ErrorCode, RequestId};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a client may send.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    /// Wants an answer.
    Request {
        id: RequestId,
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
    /// Wants none.
    Notification {
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
    /// The answer to a request of the server's.
    Answer {
        id: String,
        outcome: Result<Value, ErrorData>,
    },
}

/// Why a message is refused.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// The message's own, if it has one that can be read.
    pub(crate) id: Option<RequestId>,
    pub(crate) error: Box<ErrorData>,
}

#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(default, borrow, deserialize_with = "written")]
    jsonrpc: Option<&'a RawValue>,
    /// `None` is a notification; `null` is there, and wrong.
    #[serde(default, borrow, deserialize_with = "written")]
    id: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "written")]
    method: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "written")]
    params: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "written")]
    result: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "written")]
    error: Option<&'a RawValue>,
}

/// The message that `body` is.
pub(crate) fn parse(body: &[u8]) -> Result<Message<'_>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let what = format!("not UTF-8 from byte {} on", error.valid_up_to());
        malformed(ErrorCode::PARSE_ERROR, None, what)
    })?;
    let shape: Shape<'_> = serde_json::from_str(text).map_err(|error| unreadable(text, &error))?;
    let id = match shape
        .id
        .map(|id| serde_json::from_str::<RequestId>(id.get()))
    {
        Some(Ok(id)) => Some(id),
        Some(Err(_)) => {
            return Err(invalid(
                None,
                "`id` must be a string or a whole number of 64 bits",
            ));
        }
        None => None,
    };
    if shape.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
        return Err(invalid(id, "`jsonrpc` must be \"2.0\""));
    }
    let Some(method) = shape.method else {
        return answer(id, shape.result, shape.error);
    };
    let Some(method) = string(method) else {
        return Err(invalid(id, "`method` must be a string"));
    };
    if shape
        .params
        .is_some_and(|params| !params.get().starts_with('{'))
    {
        return Err(invalid(id, "`params` must be an object"));
    }
    let params = shape.params;
    Ok(match id {
        Some(id) => Message::Request { id, method, params },
        None => Message::Notification { method, params },
    })
}

/// The request that a notification gives up, if it is such a one.
pub(crate) fn given_up(method: &str, params: Option<&RawValue>) -> Option<RequestId> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cancelled {
        request_id: RequestId,
    }
    let params = params.filter(|_| method == "notifications/cancelled")?;
    let cancelled: Cancelled = serde_json::from_str(params.get()).ok()?;
    Some(cancelled.request_id)
}

fn answer<'a>(
    id: Option<RequestId>,
    result: Option<&RawValue>,
    error: Option<&RawValue>,
) -> Result<Message<'a>, Malformed> {
    let outcome = match (result, error) {
        (Some(result), None) => serde_json::from_str(result.get()).ok().map(Ok),
        (None, Some(error)) => serde_json::from_str(error.get()).ok().map(Err),
        _ => {
            return Err(invalid(
                id,
                "`method` is missing, and so is one of `result` and `error`",
            ));
        }
    };
    match (id, outcome) {
        (Some(RequestId::String(id)), Some(outcome)) => Ok(Message::Answer {
            id: id.as_ref().to_owned(),
            outcome,
        }),
        (id, None) => Err(invalid(id, "`error` must have a code and a message")),
        (id, Some(_)) => Err(invalid(id, "`id` is none of a request of this server")),
    }
}

fn unreadable(text: &str, error: &serde_json::Error) -> Malformed {
    if !error.is_data() {
        return malformed(ErrorCode::PARSE_ERROR, None, format!("not JSON: {error}"));
    }
    let what = if text.trim_start().starts_with('[') {
        "batches are not supported: send one message a request"
    } else {
        "the message must be an object, each of its members there once"
    };
    invalid(None, what)
}

fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = raw.get();
    if let Ok(plain) = serde_json::from_str::<&str>(text) {
        return Some(Cow::Borrowed(plain));
    }
    // With escapes it can't be borrowed.
    serde_json::from_str(text).ok().map(Cow::Owned)
}

fn invalid(id: Option<RequestId>, what: &'static str) -> Malformed {
    malformed(ErrorCode::INVALID_REQUEST, id, what)
}

fn malformed(
    code: ErrorCode,
    id: Option<RequestId>,
    what: impl Into<Cow<'static, str>>,
) -> Malformed {
    let error = Box::new(ErrorData::new(code, what, None));
    Malformed { id, error }
}

/// The value as it is written, also if that is `null`.
fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> ErrorCode {
        parse(body.as_bytes()).unwrap_err().error.code
    }

    #[test]
    fn requests_notifications_and_answers_are_told_apart() {
        let request = br#"{"jsonrpc":"2.0","id":7,"method":"tools\/list","params":{}}"#;
        let Message::Request { id, method, params } = parse(request).unwrap() else {
            panic!("a request");
        };
        assert_eq!((id, &*method), (RequestId::Number(7), "tools/list"));
        assert_eq!(params.unwrap().get(), "{}");
        let notification = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert!(matches!(
            parse(notification).unwrap(),
            Message::Notification { .. }
        ));
        let answer = br#"{"jsonrpc":"2.0","id":"a","result":null}"#;
        let Message::Answer { id, outcome } = parse(answer).unwrap() else {
            panic!("an answer");
        };
        assert_eq!((&*id, outcome.unwrap()), ("a", Value::Null));
        let error = br#"{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":"no"}}"#;
        assert!(matches!(
            parse(error).unwrap(),
            Message::Answer {
                outcome: Err(_),
                ..
            }
        ));
    }

    #[test]
    fn what_is_no_json_is_a_parse_error() {
        for body in ["", "{", "oops", "{\"jsonrpc\":\"2.0\",}"] {
            assert_eq!(code(body), ErrorCode::PARSE_ERROR, "{body}");
        }
        let malformed = parse(b"{\"a\":\"\xff\"}").unwrap_err();
        assert_eq!(malformed.error.code, ErrorCode::PARSE_ERROR);
        assert_eq!(code(&"[".repeat(100_000)), ErrorCode::PARSE_ERROR);
    }

    #[test]
    fn json_of_another_shape_is_an_invalid_request() {
        for body in [
            "[]",
            "7",
            r#"[{"jsonrpc":"2.0","id":1,"method":"x"}]"#,
            r#"{"id":1,"method":"x"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"1"}"#,
            r#"{"jsonrpc":"2.0","id":"1","result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":"1","error":"no"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":18446744073709551615,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":null}"#,
        ] {
            assert_eq!(code(body), ErrorCode::INVALID_REQUEST, "{body}");
        }
    }
}
