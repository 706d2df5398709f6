//! Arguments mirrored into `Mcp-Param-*` headers (MCP 2026-07-28, Streamable HTTP, "Custom Headers from Tool
//! Parameters"), and the encoding of header values.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

const ANNOTATION: &str = "x-mcp-header";
/// Keywords whose values are data and not schemas.
const DATA_KEYWORDS: [&str; 4] = ["default", "examples", "enum", "const"];

/// One argument that a tool wants to see in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParamHeader {
    /// The keys that lead to the argument.
    path: Vec<String>,
    header: HeaderName,
}

impl ParamHeader {
    /// All annotations of an input schema.
    ///
    /// # Errors
    /// Why the tool must be left out: an annotation breaks the rules.
    pub(crate) fn read(schema: &Map<String, Value>) -> Result<Vec<Self>, String> {
        let mut found = Vec::new();
        walk(schema, &mut Vec::new(), true, &mut found)?;
        let mut seen = HashSet::new();
        match found.iter().find(|one| !seen.insert(&one.header)) {
            Some(twice) => Err(format!("`{}` is used twice", twice.header)),
            None => Ok(found),
        }
    }

    /// The header for these arguments; none where the argument is absent, null or no primitive.
    pub(crate) fn header(
        &self,
        arguments: &Map<String, Value>,
    ) -> Option<(HeaderName, HeaderValue)> {
        let (last, parents) = self.path.split_last()?;
        let mut object = arguments;
        for key in parents {
            object = object.get(key)?.as_object()?;
        }
        let text = match object.get(last)? {
            Value::String(text) => text.clone(),
            Value::Bool(yes) => yes.to_string(),
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}"),
                _ => number.to_string(),
            },
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((self.header.clone(), header_value(&text)))
    }
}

/// `reachable`: every step from the root was a `properties` key.
fn walk(
    schema: &Map<String, Value>,
    path: &mut Vec<String>,
    reachable: bool,
    found: &mut Vec<ParamHeader>,
) -> Result<(), String> {
    if let Some(name) = schema.get(ANNOTATION) {
        if !reachable || path.is_empty() {
            return Err(
                "the annotation is not on a property that is reached by `properties` alone".into(),
            );
        }
        if !is_primitive(schema.get("type")) {
            return Err(format!(
                "`{}` is annotated and neither string, integer nor boolean",
                path.join(".")
            ));
        }
        let header = name
            .as_str()
            .filter(|name| !name.is_empty())
            .and_then(|name| HeaderName::try_from(format!("mcp-param-{name}")).ok())
            .ok_or_else(|| format!("the annotation of `{}` is no header name", path.join(".")))?;
        found.push(ParamHeader {
            path: path.clone(),
            header,
        });
    }
    for (keyword, value) in schema {
        match value {
            Value::Object(properties) if keyword == "properties" => {
                for (key, property) in properties {
                    if let Value::Object(property) = property {
                        path.push(key.clone());
                        walk(property, path, reachable, found)?;
                        path.pop();
                    }
                }
            }
            _ if DATA_KEYWORDS.contains(&keyword.as_str()) => {}
            Value::Object(inner) => walk(inner, path, false, found)?,
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_object) {
                    walk(item, path, false, found)?;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    Ok(())
}

fn is_primitive(kind: Option<&Value>) -> bool {
    kind.and_then(Value::as_str)
        .is_some_and(|kind| matches!(kind, "string" | "integer" | "boolean"))
}

/// `text` as it is where that is plain ASCII, else in the base64 form of the specification ("Value Encoding").
pub(crate) fn header_value(text: &str) -> HeaderValue {
    let plain = text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        && text.trim() == text
        && !(text.starts_with("=?base64?") && text.ends_with("?="));
    let encoded = match plain {
        true => text.to_owned(),
        false => format!("=?base64?{}?=", STANDARD.encode(text)),
    };
    HeaderValue::try_from(encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("no object: {other}"),
        }
    }

    #[test]
    fn values_are_encoded_as_in_the_specification() {
        for (value, header) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(header_value(value), header);
        }
    }

    #[test]
    fn annotated_arguments_are_mirrored_and_no_others() {
        let schema = object(json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "place": {"type": "object", "properties": {"floor": {"type": "integer", "x-mcp-header": "Floor"}}},
            "loud": {"type": "boolean", "x-mcp-header": "Loud"},
            "query": {"type": "string", "default": {"x-mcp-header": "data"}},
        }}));
        let headers = ParamHeader::read(&schema).unwrap();
        let arguments =
            object(json!({"region": "eu", "place": {"floor": -3}, "loud": null, "query": "q"}));
        let sent: Vec<_> = headers
            .iter()
            .filter_map(|one| one.header(&arguments))
            .collect();
        let shown: Vec<_> = sent
            .iter()
            .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap()))
            .collect();
        assert_eq!(shown, ["mcp-param-region: eu", "mcp-param-floor: -3"]);
    }

    #[test]
    fn annotations_that_break_the_rules_are_refused() {
        for properties in [
            json!({"a": {"type": "number", "x-mcp-header": "A"}}),
            json!({"a": {"type": "string", "x-mcp-header": ""}}),
            json!({"a": {"type": "string", "x-mcp-header": "A B"}}),
            json!({"a": {"type": "string", "x-mcp-header": "A\r\nB: c"}}),
            json!({"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}),
            json!({"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}),
            json!({"a": {"anyOf": [{"type": "string", "x-mcp-header": "A"}]}}),
        ] {
            let schema = object(json!({"properties": properties}));
            assert!(ParamHeader::read(&schema).is_err(), "{schema:?}");
        }
    }
}
