//! Taking secrets out of what a program wrote, before any of it goes into an error.

use mcp_core::Secret;

/// Shorter values (`1`, `on`) are no secrets, and masking them would leave nothing readable.
const VALUE_MIN: usize = 4;
/// Parts of a value that may appear alone: the password in a URL, a line of a key.
const PART_MIN: usize = 8;

/// The texts that are replaced with `[secret]`.
#[derive(Default)]
pub(crate) struct Mask(Vec<String>);

impl Mask {
    /// A mask for these values and their longer parts.
    pub(crate) fn new<'a>(values: impl Iterator<Item = &'a Secret>) -> Self {
        let mut texts = Vec::new();
        for value in values {
            let value = value.expose().trim();
            if value.len() >= VALUE_MIN {
                texts.push(value.to_owned());
            }
            let parts = value.split(|c: char| c.is_whitespace() || ":/@?&=;,\"'".contains(c));
            texts.extend(
                parts
                    .filter(|part| part.len() >= PART_MIN)
                    .map(str::to_owned),
            );
        }
        // The longest first: a value is replaced as a whole before its parts are looked for.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        texts.dedup();
        Self(texts)
    }

    /// `text` without the values.
    pub(crate) fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "[secret]")
        })
    }

    /// [`Mask::apply`] for a text whose beginning may be `cut`: then it may begin in the middle of a value, and as much
    /// as the longest one is left out.
    pub(crate) fn apply_to_tail(&self, text: &str, cut: bool) -> String {
        let text = self.apply(text);
        let longest = self.0.first().map_or(0, String::len);
        let from = if cut { longest.min(text.len()) } else { 0 };
        text[text.ceil_char_boundary(from)..].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;
    use mcp_core::Secret;

    #[test]
    fn values_and_their_longer_parts_are_replaced() {
        let secrets = [
            Secret::new("postgres://user:correct-horse@db/x"),
            Secret::new("1"),
            Secret::new("key4"),
        ];
        let mask = Mask::new(secrets.iter());
        assert_eq!(
            mask.apply("bad password correct-horse (1) key4 postgres://user:correct-horse@db/x"),
            "bad password [secret] (1) [secret] [secret]"
        );
    }

    #[test]
    fn no_end_of_a_value_is_left_at_a_cut() {
        let mask = Mask::new([Secret::new("hunter2hunter2")].iter());
        assert_eq!(
            mask.apply_to_tail("er2hunter2 is wrong: hunter2hunter2", true),
            "wrong: [secret]"
        );
    }
}
