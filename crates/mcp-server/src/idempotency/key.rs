//! The key of a call, and what it is compared by.

use axum::http::HeaderValue;
use openssl::sha::Sha256;
use serde_json::{Map, Value};

/// Longest key, in bytes.
const KEY_MAX: usize = 2_048;

/// Why a key is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadKey {
    /// Empty, too long, or no text.
    #[error("the idempotency key must be text of 1 to {KEY_MAX} bytes")]
    Shape,
    /// The header and `_meta` name two.
    #[error("the header Idempotency-Key and the one in `_meta` differ")]
    Two,
}

/// The key that a request carries: in `_meta`, in the header, or the same in both. In the header it may be
/// percent-encoded, as our own client does, or in quotes (RFC 9651 §3.3.3).
pub(crate) fn key_of(
    meta: Option<&Value>,
    header: Option<&HeaderValue>,
) -> Result<Option<String>, BadKey> {
    let meta = match meta {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) => Some(key.as_str()),
        Some(_) => return Err(BadKey::Shape),
    };
    let raw = header.map(HeaderValue::as_bytes).map(<[u8]>::trim_ascii);
    let decoded = raw.map(decode).transpose()?;
    let key = match (meta, decoded) {
        (None, None) => return Ok(None),
        (Some(key), None) => key.to_owned(),
        (None, Some(key)) => key,
        (Some(key), Some(same)) if *key == same || raw == Some(key.as_bytes()) => key.to_owned(),
        (Some(_), Some(_)) => return Err(BadKey::Two),
    };
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(BadKey::Shape);
    }
    Ok(Some(key))
}

/// Without quotes, and with `%XX` as the byte it stands for. A `%` that begins no such thing is itself.
fn decode(raw: &[u8]) -> Result<String, BadKey> {
    let quoted = raw
        .strip_prefix(b"\"")
        .and_then(|raw| raw.strip_suffix(b"\""));
    let raw = quoted.unwrap_or(raw);
    if raw.len() > 3 * KEY_MAX {
        return Err(BadKey::Shape);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |index: usize| {
            let digit = after.get(index).copied().map(char::from)?;
            digit
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high << 4 | low);
                rest = &after[2..];
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(out).map_err(|_| BadKey::Shape)
}

/// What a call is known and compared by. Neither shows the key nor the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallId {
    /// Of who calls and the key: callers do not see each other's results.
    pub(crate) digest: [u8; 32],
    /// Of the tool and the arguments.
    pub(crate) fingerprint: [u8; 32],
}

impl CallId {
    /// The id of a call.
    pub(crate) fn new(caller: &str, key: &str, tool: &str, arguments: &Map<String, Value>) -> Self {
        let mut who = Sha256::new();
        text(&mut who, caller);
        text(&mut who, key);
        let mut what = Sha256::new();
        text(&mut what, tool);
        object(&mut what, arguments);
        Self {
            digest: who.finish(),
            fingerprint: what.finish(),
        }
    }
}

/// The length goes first, so that no two sequences of values look the same.
fn text(hash: &mut Sha256, text: &str) {
    hash.update(&(text.len() as u64).to_be_bytes());
    hash.update(text.as_bytes());
}

/// In the order of names: who repeats a call may write its arguments in another order.
fn object(hash: &mut Sha256, members: &Map<String, Value>) {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    hash.update(b"{");
    hash.update(&(members.len() as u64).to_be_bytes());
    for (name, member) in members {
        text(hash, name);
        value(hash, member);
    }
}

// Depth is bounded by the parser that made the value.
fn value(hash: &mut Sha256, of: &Value) {
    match of {
        Value::Null => hash.update(b"n"),
        Value::Bool(true) => hash.update(b"t"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Number(number) => {
            hash.update(b"#");
            text(hash, &number.to_string());
        }
        Value::String(string) => {
            hash.update(b"\"");
            text(hash, string);
        }
        Value::Array(items) => {
            hash.update(b"[");
            hash.update(&(items.len() as u64).to_be_bytes());
            for item in items {
                value(hash, item);
            }
        }
        Value::Object(members) => object(hash, members),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_core::IdempotencyKey;
    use serde_json::json;

    fn of(meta: Option<&str>, header: Option<&str>) -> Result<Option<String>, BadKey> {
        let header = header.map(|header| HeaderValue::from_str(header).unwrap());
        key_of(meta.map(Value::from).as_ref(), header.as_ref())
    }

    #[test]
    fn the_key_is_the_same_in_either_place() {
        let key = IdempotencyKey::new("t", "jöb 1%", "s");
        let (plain, encoded) = (key.as_str(), key.to_header());
        let found = Ok(Some(plain.to_owned()));
        assert_eq!(of(Some(plain), None), found);
        assert_eq!(of(None, Some(&encoded)), found);
        assert_eq!(of(Some(plain), Some(&encoded)), found);
        assert_eq!(of(None, None), Ok(None));
        assert_eq!(of(None, Some("\"abc\"")), Ok(Some("abc".into())));
        assert_eq!(of(None, Some("50%off%2")), Ok(Some("50%off%2".into())));
        assert_eq!(of(Some("a%41"), Some("a%41")), Ok(Some("a%41".into())));
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        assert_eq!(of(Some("a"), Some("b")), Err(BadKey::Two));
        let long = "x".repeat(KEY_MAX + 1);
        for key in ["", "%FF", "\"\"", &long] {
            assert_eq!(of(None, Some(key)), Err(BadKey::Shape), "{key}");
        }
        assert_eq!(of(Some(""), None), Err(BadKey::Shape));
        assert_eq!(key_of(Some(&json!(7)), None), Err(BadKey::Shape));
    }

    #[test]
    fn arguments_are_compared_by_value_and_callers_are_kept_apart() {
        let id = |caller: &str, arguments: Value| {
            CallId::new(caller, "k", "tool", arguments.as_object().unwrap())
        };
        let one = id("a", json!({"x": [1, "2"], "y": {"p": null, "q": true}}));
        let same = id("a", json!({"y": {"q": true, "p": null}, "x": [1, "2"]}));
        assert_eq!(one, same);
        let other = id("a", json!({"x": [1, 2], "y": {"p": null, "q": true}}));
        assert_eq!(one.digest, other.digest);
        assert_ne!(one.fingerprint, other.fingerprint);
        assert_ne!(id("a", json!({})).digest, id("b", json!({})).digest);
    }
}
