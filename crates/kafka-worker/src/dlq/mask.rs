//! Takes secrets out of what is shown: pure. What is in doubt is masked.

use serde_json::Value;

use super::letter::Header;

/// What stands in a secret's place.
const MASK: &str = "[secret]";
/// Shorter values are no secrets elsewhere, and masking them would garble the text.
const SHORTEST: usize = 4;
/// JSON in strings in JSON, and so on, is followed so far.
const DEPTH: usize = 6;
/// Parts of names of secrets, without case and punctuation.
const SECRET_NAMES: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "token",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "authorization",
    "credential",
    "cookie",
];
/// Members whose values are secrets whatever they are called: the environment of a program, the headers for a URL.
const SECRET_MEMBERS: [&str; 2] = ["env", "headers"];

/// Whether something of that name is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SECRET_NAMES.iter().any(|secret| plain.contains(secret))
}

/// Masks what it is shown, and remembers what it masked: the same text is masked in what comes later.
#[derive(Default)]
pub(crate) struct Mask {
    seen: Vec<String>,
}

impl Mask {
    /// A record's value: JSON, or text, or bytes.
    pub(super) fn value(&mut self, bytes: &[u8]) -> Value {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Value::from(format!("[{} bytes that are no UTF-8]", bytes.len()));
        };
        match serde_json::from_str::<Value>(text) {
            Ok(mut value) => {
                // The payload is JSON in a string: it is shown as what it is.
                if let Some(payload) = value.get_mut("payload")
                    && let Some(inner) = payload.as_str().and_then(structure)
                {
                    *payload = inner;
                }
                self.json(&mut value, DEPTH);
                value
            }
            Err(_) => Value::from(self.loose(text)),
        }
    }

    fn json(&mut self, value: &mut Value, depth: usize) {
        match value {
            Value::String(text) => *text = self.string(text, depth),
            Value::Array(items) => {
                let mut after_flag = false;
                for item in items {
                    let flag = item.as_str().is_some_and(|text| {
                        text.starts_with('-') && !text.contains('=') && is_secret(text)
                    });
                    match after_flag {
                        true => self.leaves(item),
                        false => self.json(item, depth),
                    }
                    after_flag = flag;
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    let secret = is_secret(name)
                        || SECRET_MEMBERS
                            .iter()
                            .any(|known| name.eq_ignore_ascii_case(known));
                    match secret {
                        true => self.leaves(member),
                        false => self.json(member, depth),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Masks everything below, names apart.
    fn leaves(&mut self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.leaves(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.leaves(member)),
            Value::String(text) => {
                self.remember(text);
                *value = Value::from(MASK);
            }
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) => *value = Value::from(MASK),
        }
    }

    /// Also the token alone in a value such as `Bearer TOKEN`.
    fn remember(&mut self, secret: &str) {
        let token = secret.split_once(' ').map(|(_, token)| token);
        let found = [Some(secret), token].into_iter().flatten();
        self.seen.extend(
            found
                .filter(|text| text.len() >= SHORTEST)
                .map(str::to_owned),
        );
        // The longest first: one that contains another is masked as a whole.
        self.seen.sort_by_key(|text| std::cmp::Reverse(text.len()));
        self.seen.dedup();
    }

    fn string(&mut self, text: &str, depth: usize) -> String {
        match structure(text) {
            Some(_) if depth == 0 => format!("[{} bytes of JSON in JSON]", text.len()),
            Some(mut inner) => {
                self.json(&mut inner, depth - 1);
                inner.to_string()
            }
            None if text.trim_start().starts_with(['{', '[']) => self.loose(text),
            None => self.text(text),
        }
    }

    /// Text that should be JSON, or may be anything: what is in it can't be told apart.
    fn loose(&self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let members = SECRET_MEMBERS.iter().any(|name| lower.contains(name));
        if members || is_secret(text) || lower.contains("bearer") {
            return format!(
                "[{} bytes that are no JSON and may hold secrets]",
                text.len()
            );
        }
        self.text(text)
    }

    /// A text without the secrets seen so far, credentials in URLs, and what stands behind `password=` and the like.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.seen {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), MASK);
            }
        }
        behind_names(&behind_schemes(&without_credentials(&text)))
    }

    /// Learns the secrets of the headers, before any of them is shown.
    pub(super) fn learn(&mut self, headers: &[Header]) {
        for (name, value) in headers.iter().filter(|(name, _)| is_secret(name)) {
            let _ = value.as_deref().map(|value| self.header(name, value));
        }
    }

    /// The value of a header of that name.
    pub(super) fn header(&mut self, name: &str, value: &[u8]) -> String {
        let Ok(text) = std::str::from_utf8(value) else {
            return format!("[{} bytes that are no UTF-8]", value.len());
        };
        if is_secret(name) {
            self.remember(text);
            return MASK.to_owned();
        }
        self.string(text, DEPTH)
    }
}

/// The object or array that the text holds.
fn structure(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || "\"'`<>".contains(c)
}

/// Masks `user:password@` behind every `://`.
fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, behind) = rest.split_at(at + 3);
        out.push_str(before);
        // A password may hold a slash, so the whole word is looked at.
        let word = &behind[..behind.find(ends_word).unwrap_or(behind.len())];
        rest = behind;
        if let Some(sign) = word.rfind('@') {
            out.push_str(MASK);
            rest = &behind[sign..];
        }
    }
    out.push_str(rest);
    out
}

/// Masks what stands behind `name=` and `name:` where the name is a secret's.
fn behind_names(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, behind) = rest.split_at(at + 1);
        out.push_str(before);
        rest = behind;
        let name_ends = |c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c));
        let name = before[..at].trim_end_matches(['"', '\'', '\\', ' ']);
        let name = name.rsplit(name_ends).next().unwrap_or_default();
        if !is_secret(name) {
            continue;
        }
        let start = behind.len() - behind.trim_start_matches([' ', '"', '\'', '\\']).len();
        let value = &behind[start..];
        let end = value
            .find(|c: char| ends_word(c) || "&,;\\".contains(c))
            .unwrap_or(value.len());
        if end > 0 && !value.starts_with(MASK) {
            out.push_str(&behind[..start]);
            out.push_str(MASK);
            rest = &value[end..];
        }
    }
    out.push_str(rest);
    out
}

/// Masks what stands behind `Bearer` and `Basic`.
fn behind_schemes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_scheme = false;
    for word in text.split_inclusive(' ') {
        let bare = word.trim_end_matches([' ', ',', '"', '\'']);
        match after_scheme && !bare.is_empty() && !bare.starts_with(MASK) {
            true => {
                out.push_str(MASK);
                out.push_str(&word[bare.len()..]);
            }
            false => out.push_str(word),
        }
        let lower = word.trim_end().to_ascii_lowercase();
        after_scheme =
            word.ends_with(' ') && (lower.ends_with("bearer") || lower.ends_with("basic"));
    }
    out
}

#[cfg(test)]
mod tests;
