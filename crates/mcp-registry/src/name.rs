//! The name of a server: a reverse-DNS namespace, one slash, and a name in it.

use crate::issue::{Issues, Place};

/// Longest label between two dots of a namespace, as in DNS (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;

/// The rules for a name beyond those of the schema, which bounds its length and its characters.
pub(crate) fn check(name: &str, place: &Place<'_>, issues: &mut Issues) {
    let Some((namespace, own)) = name.split_once('/') else {
        issues.add(
            place,
            "name-format",
            "a name is namespace/name, such as com.example/weather",
        );
        return;
    };
    if own.contains('/') {
        issues.add(place, "name-format", "a name has exactly one slash");
        return;
    }
    let labels: Vec<_> = namespace.split('.').collect();
    let is_label = |label: &&str| {
        (1..=LABEL_MAX).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if labels.len() < 2 || !labels.iter().all(is_label) || !has_plain_ends(namespace) {
        issues.add(
            place,
            "namespace-format",
            "the namespace is a domain name in reverse, such as com.example: two labels or more of letters, digits \
             and hyphens, with a letter or digit at its ends",
        );
    }
    let is_own = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if own.len() < 2 || !own.bytes().all(is_own) || !has_plain_ends(own) {
        issues.add(
            place,
            "name-format",
            "behind the slash stand two characters or more: letters, digits, dots, underscores and hyphens, with a \
             letter or digit at the ends",
        );
    }
}

fn has_plain_ends(text: &str) -> bool {
    let is_plain = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    is_plain(text.as_bytes().first()) && is_plain(text.as_bytes().last())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::issue::{Issues, Place};

    fn is_name(name: &str) -> bool {
        let mut issues = Issues::default();
        check(name, &Place::top("name"), &mut issues);
        issues.is_empty()
    }

    #[test]
    fn names_are_told_from_others() {
        for name in [
            "io.github.user/weather",
            "com.example-1/a.b_c-d",
            "org.X/Y2",
            "io.github.a-b/x1",
        ] {
            assert!(is_name(name), "{name}");
        }
        let long = format!("com.{}/ab", "x".repeat(64));
        for name in [
            "",
            "/",
            "weather",
            "a/b/c",
            "com.example/",
            "/weather",
            "com/weather",
            "com..example/w1",
            ".com/w1",
            "com.example./w1",
            "-com.example/w1",
            "com.example/-w",
            "com.example/w_",
            "com.exa_mple/w1",
            "com.example/w\u{e4}1",
            "com.example/w",
            "com example/w1",
            &long,
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
