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

#[cfg(test)]
mod tests {
    use super::bounded;

    #[test]
    fn long_text_is_cut_at_a_character_boundary() {
        assert_eq!(bounded("häßlich", 3), "hä…");
        assert_eq!(bounded("short", 5), "short");
        assert_eq!(bounded("two\nlines", 20), "two lines");
    }
}
