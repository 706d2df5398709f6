//! Which tool a message calls, looked at before the message is built.

use std::borrow::Cow;

use serde::Deserialize;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// The tool of a well-formed `tools/call`; None for other messages, and for calls that will be refused for their shape.
pub(super) fn called_tool(body: &[u8]) -> Option<Cow<'_, str>> {
    let message: Message<'_> = serde_json::from_slice(body).ok()?;
    let params = message.params?;
    (message.method == "tools/call").then_some(params.name)
}

#[cfg(test)]
mod tests {
    use super::called_tool;

    #[test]
    fn only_a_call_has_a_tool() {
        let of = |body: &'static str| called_tool(body.as_bytes());
        let call = r#"{"method":"tools/call","params":{"arguments":{"name":"x"},"name":"y"}}"#;
        assert_eq!(of(call).as_deref(), Some("y"));
        for other in [
            r#"{"method":"prompts/get","params":{"name":"y"}}"#,
            r#"{"method":"tools/call"}"#,
            r#"{"method":"tools/call","params":{"name":7}}"#,
            "{",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
