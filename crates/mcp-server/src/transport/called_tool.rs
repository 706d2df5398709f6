//! Which tool a message calls, looked at before the message is built.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// The tool of a well-formed `tools/call`; None for other messages, and for calls that will be refused for their shape.
pub(super) fn called_tool<'a>(method: &str, params: Option<&'a RawValue>) -> Option<Cow<'a, str>> {
    let params = params.filter(|_| method == "tools/call")?;
    let params: Params<'a> = serde_json::from_str(params.get()).ok()?;
    Some(params.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_has_a_tool() {
        let of = |method: &str, params: &str| {
            let params = RawValue::from_string(params.to_owned()).unwrap();
            called_tool(method, Some(&params)).map(Cow::into_owned)
        };
        let call = r#"{"arguments":{"name":"x"},"name":"y"}"#;
        assert_eq!(of("tools/call", call).as_deref(), Some("y"));
        assert_eq!(
            of("tools/call", r#"{"name":"\u0079"}"#).as_deref(),
            Some("y")
        );
        assert_eq!(of("prompts/get", r#"{"name":"y"}"#), None);
        assert_eq!(of("tools/call", r#"{"name":7}"#), None);
        assert_eq!(called_tool("tools/call", None), None);
    }
}
