//! The words to a picture: the model writes them, and people and other models read them.

use mcp_core::text::bounded;

/// The text without what makes it read differently from what it says, and at most `max` bytes of it.
pub(super) fn caption(text: &str, max: usize) -> String {
    let shown: String = text.chars().filter(|c| !is_hidden(*c)).collect();
    bounded(shown.trim(), max)
}

/// Bidirectional controls, which turn around what stands behind them, and other characters that show nothing and can hide
/// text. Joiners and variation selectors stay: many scripts and emoji are written with them. Control characters
/// are `bounded`'s to take out.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::caption;

    #[test]
    fn a_caption_reads_as_it_says() {
        for (written, read) in [
            ("A cat", "A cat"),
            (" A\ncat\u{7}", "A cat "),
            ("A \u{202e}tac", "A tac"),
            ("\u{feff}\u{2066}A\u{2069} \u{200f}cat\u{200b}", "A cat"),
            ("A \u{202e} ", "A"),
            ("A cat\u{e0068}\u{e0069}", "A cat"),
            (
                "\u{1f469}\u{200d}\u{1f680} \u{2764}\u{fe0f}",
                "\u{1f469}\u{200d}\u{1f680} \u{2764}\u{fe0f}",
            ),
            ("חתול", "חתול"),
        ] {
            assert_eq!(caption(written, 100), read, "{written:?}");
        }
        assert_eq!(caption("\u{202e}häßlich", 3), "hä…");
    }
}
