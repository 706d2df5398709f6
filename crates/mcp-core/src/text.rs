//! Bounds for text that came from outside and goes into errors, headers or logs.

/// At most `max` bytes of `text`, cut at a character boundary with `…` behind it, and no control characters.
pub fn bounded(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max + 4));
    for c in text.chars() {
        if out.len() + c.len_utf8() > max {
            out.push('…');
            break;
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

/// What serde says is wrong, without the value it found: that may be a secret, or the whole document.
pub fn shape_error(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    for start in ["invalid type: ", "invalid value: "] {
        if let Some(found) = text.strip_prefix(start)
            && let Some((found, expected)) = found.rsplit_once(", expected ")
        {
            // serde quotes strings, characters and numbers; the words before a quote say what kind it is.
            let kind = found.split(['"', '`']).next().unwrap_or_default().trim();
            return format!("{start}{kind}, expected {expected}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{bounded, shape_error};

    #[test]
    fn a_shape_error_does_not_show_the_value() {
        let error = |json: &str| {
            let error = serde_json::from_str::<std::collections::BTreeMap<String, String>>(json);
            shape_error(&error.unwrap_err())
        };
        assert_eq!(
            error(r#""hunter2, expected 1""#),
            "invalid type: string, expected a map at line 1 column 21"
        );
        assert_eq!(
            error(r#"{"PIN":1234}"#),
            "invalid type: integer, expected a string at line 1 column 11"
        );
        assert_eq!(
            error("[]"),
            "invalid type: sequence, expected a map at line 1 column 0"
        );
        assert!(error("{").starts_with("EOF while parsing"));
    }

    #[test]
    fn long_text_is_cut_at_a_character_boundary() {
        assert_eq!(bounded("häßlich", 3), "hä…");
        assert_eq!(bounded("short", 5), "short");
        assert_eq!(bounded("two\nlines", 20), "two lines");
    }
}
