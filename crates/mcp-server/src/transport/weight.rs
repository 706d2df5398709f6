//! What a message takes in memory once it has been built: a list of a million noughts is two megabytes on the wire and a
//! hundred as values.

/// Bytes that one value may take, with the slack of the list or object that it stands in. A value of `serde_json` is 72.
const VALUE: usize = 100;
/// Values that are not worth a second look.
const FEW: usize = 1_024;

/// Bytes that a message takes, at most: its text, and all that stands in it.
pub(super) fn of(text: &[u8]) -> usize {
    let mut values = marks(text);
    if values > FEW {
        // Commas in prose and in paths of SVG are no values.
        values = marks_outside_strings(text);
    }
    text.len().saturating_add(values.saturating_mul(VALUE))
}

/// Each value that is built has one of these before it, but for the outermost.
fn is_mark(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b'[' | b'{')
}

fn marks(text: &[u8]) -> usize {
    // In pieces whose count fits a byte, which processors add many at a time.
    let pieces = text.chunks(usize::from(u8::MAX));
    let counts = pieces.map(|piece| {
        piece
            .iter()
            .map(|&byte| u8::from(is_mark(byte)))
            .sum::<u8>()
    });
    counts.map(usize::from).sum()
}

fn marks_outside_strings(text: &[u8]) -> usize {
    let (mut marks, mut in_string) = (0, false);
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            byte if !in_string && is_mark(byte) => marks += 1,
            _ => {}
        }
    }
    marks
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_list_of_small_values_weighs_what_it_takes_and_text_weighs_itself() {
        let noughts = format!("[{}]", vec!["0"; 100_000].join(","));
        assert!(of(noughts.as_bytes()) >= 100_000 * size_of::<Value>());
        let prose = json!({"svg": "M0,0:[{\"".repeat(100_000)}).to_string();
        assert!(of(prose.as_bytes()) < prose.len() + 1_000);
        let small = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert!(of(small) < 1_024);
    }

    #[test]
    fn marks_in_strings_do_not_count_whatever_is_escaped_there() {
        for (text, count) in [
            (r#"{"a":1,"b":[2,3]}"#, 6),
            (r#"{"a":"\",\",","b":"\\"}"#, 4),
            (r#"["\\",",",1]"#, 3),
            ("", 0),
        ] {
            assert_eq!(marks_outside_strings(text.as_bytes()), count, "{text}");
        }
        assert_eq!(marks("[,:{".repeat(1_000).as_bytes()), 4_000);
    }
}
