//! Keeps secrets out of what the server says back: a server that quotes the request in its error would otherwise put
//! a key or an environment value into a dead letter.

use mcp_core::{Failure, Secret};
use serde_json::{Map, Value};
use url::Url;

/// What stands in a secret's place.
const MASK: &str = "[secret]";
/// Shorter values are no secrets, and masking them would garble the text.
const SHORTEST: usize = 4;
/// Arguments whose string members are secrets: the environment of a program, the headers for a URL.
const SECRET_ARGUMENTS: [&str; 2] = ["env", "headers"];

/// The secrets of one client, or of one call.
#[derive(Clone, Default)]
pub(crate) struct Redaction(Vec<String>);

impl Redaction {
    /// Of the secrets of a client, and of the query of its URL.
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = &'a Secret>, url: &Url) -> Self {
        let mut redaction = Self::default();
        for secret in secrets {
            redaction.add(secret.expose());
        }
        for (_, value) in url.query_pairs() {
            redaction.add(&value);
        }
        redaction.sort();
        redaction
    }

    /// The same, and the secrets among a call's arguments.
    pub(crate) fn with_arguments(&self, arguments: &Map<String, Value>) -> Self {
        let mut redaction = self.clone();
        for name in SECRET_ARGUMENTS {
            if let Some(Value::Object(members)) = arguments.get(name) {
                for value in members.values().filter_map(Value::as_str) {
                    redaction.add(value);
                }
            }
        }
        redaction.sort();
        redaction
    }

    /// Also the token alone in a value such as `Bearer TOKEN`.
    fn add(&mut self, secret: &str) {
        if let Some((_scheme, token)) = secret.split_once(' ')
            && !token.contains(' ')
        {
            self.add(token);
        }
        if secret.len() < SHORTEST {
            return;
        }
        let quoted = Value::from(secret).to_string();
        let escaped = &quoted[1..quoted.len() - 1];
        if escaped != secret {
            self.0.push(escaped.to_owned());
        }
        self.0.push(secret.to_owned());
    }

    /// Longest first, so that a secret which contains another is masked as a whole.
    fn sort(&mut self) {
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret) {
                text = text.replace(secret, MASK);
            }
        }
        text
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.value(member)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    pub(crate) fn failure(&self, mut failure: Failure) -> Failure {
        failure.message = self.text(&failure.message);
        if let Some(detail) = &mut failure.detail {
            self.value(detail);
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_environment_values_and_headers_are_masked_as_text_and_as_json() {
        let Value::Object(arguments) = json!({
            "env": {"TOKEN": "hunter\"2", "DEBUG": "1"},
            "headers": {"authorization": "Bearer swordfish"},
            "args": ["visible"],
        }) else {
            unreachable!()
        };
        let key = Secret::new("hunter");
        let url = Url::parse("http://h/?token=open-sesame").unwrap();
        let redaction = Redaction::new([&key].into_iter(), &url).with_arguments(&arguments);
        assert_eq!(
            redaction.text(
                r#"hunter"2 {"TOKEN":"hunter\"2","DEBUG":"1"} swordfish hunter visible open-sesame"#
            ),
            r#"[secret] {"TOKEN":"[secret]","DEBUG":"1"} [secret] [secret] visible [secret]"#
        );
        let failure = Failure::new(mcp_core::ErrorCode::ToolFailed, "bad swordfish")
            .with_detail(json!({"seen": ["swordfish"]}));
        let failure = redaction.failure(failure);
        assert_eq!(failure.message, "bad [secret]");
        assert_eq!(failure.detail, Some(json!({"seen": ["[secret]"]})));
    }
}
