//! The shape of a JSON-RPC message, looked at without building it.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Invalid JSON.
pub(super) const PARSE_ERROR: i64 = -32700;
/// JSON that is no request.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// A defect of the server.
pub(super) const INTERNAL_ERROR: i64 = -32603;

/// Why a message is refused.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: i64,
    pub(super) id: Value,
    pub(super) what: String,
}

#[derive(Deserialize)]
struct Shape<'a> {
    jsonrpc: Option<Value>,
    /// `None` is a notification; `null` is there, and wrong.
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    method: Option<Value>,
    #[serde(default, borrow, deserialize_with = "written")]
    params: Option<&'a RawValue>,
}

/// The id of a well-formed message, null for a notification.
pub(super) fn check(body: &[u8]) -> Result<Value, Refusal> {
    let refuse = |code, id, what: &str| Refusal {
        code,
        id,
        what: what.to_owned(),
    };
    if let Err(error) = std::str::from_utf8(body) {
        let what = format!("not UTF-8 from byte {} on", error.valid_up_to());
        return Err(refuse(PARSE_ERROR, Value::Null, &what));
    }
    let shape: Shape<'_> = match serde_json::from_slice(body) {
        Ok(shape) => shape,
        Err(error) if error.is_data() => {
            let batch = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
            let what = if batch {
                "batches are not supported: send one message a request"
            } else {
                "the message must be an object"
            };
            return Err(refuse(INVALID_REQUEST, Value::Null, what));
        }
        Err(error) => {
            return Err(refuse(
                PARSE_ERROR,
                Value::Null,
                &format!("not JSON: {error}"),
            ));
        }
    };
    let id = match shape.id {
        Some(id @ Value::String(_)) => id,
        Some(Value::Number(id)) if id.is_i64() => Value::Number(id),
        Some(_) => {
            return Err(refuse(
                INVALID_REQUEST,
                Value::Null,
                "`id` must be a string or a whole number of 64 bits",
            ));
        }
        None => Value::Null,
    };
    if shape.jsonrpc != Some(Value::String("2.0".into())) {
        return Err(refuse(INVALID_REQUEST, id, "`jsonrpc` must be \"2.0\""));
    }
    match shape.method {
        Some(Value::String(_))
            if shape
                .params
                .is_some_and(|params| !params.get().starts_with('{')) =>
        {
            Err(refuse(INVALID_REQUEST, id, "`params` must be an object"))
        }
        Some(Value::String(_)) => Ok(id),
        Some(_) => Err(refuse(INVALID_REQUEST, id, "`method` must be a string")),
        None => Err(refuse(
            INVALID_REQUEST,
            id,
            "`method` is missing: this server sends no requests, so it takes no responses",
        )),
    }
}

/// The value as it is written, also if that is `null`.
fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> i64 {
        check(body.as_bytes()).unwrap_err().code
    }

    #[test]
    fn requests_and_notifications_pass() {
        let request = br#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#;
        assert_eq!(check(request), Ok(Value::from(7)));
        let notification = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(check(notification), Ok(Value::Null));
    }

    #[test]
    fn what_is_no_json_is_a_parse_error() {
        for body in ["", "{", "oops", "{\"jsonrpc\":\"2.0\",}"] {
            assert_eq!(code(body), PARSE_ERROR, "{body}");
        }
        assert_eq!(check(b"{\"a\":\"\xff\"}").unwrap_err().code, PARSE_ERROR);
        assert_eq!(code(&"[".repeat(100_000)), PARSE_ERROR);
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
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":18446744073709551615,"method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x","params":null}"#,
        ] {
            assert_eq!(code(body), INVALID_REQUEST, "{body}");
        }
    }
}
