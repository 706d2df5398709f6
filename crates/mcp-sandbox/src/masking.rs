//! Taking secrets out of what a program wrote, before any of it goes into an error. This comes first of all: a text that
//! was cut or quoted may hold a part of a value, or spell it differently, and then it is not found.

use std::collections::BTreeSet;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use mcp_core::Secret;
use mcp_core::text::bounded;
use url::form_urlencoded;

mod squeezed;

use squeezed::{Squeezed, squeeze};

/// Shorter values (`1`, `on`) are no secrets, and masking them would leave nothing readable.
const VALUE_MIN: usize = 4;
/// Parts of a value that may appear alone: the password in a URL, a line of a key. Also what is looked for across the ends
/// of lines.
const PART_MIN: usize = 8;
/// What stands in place of a value.
const MASK: &str = "[secret]";
/// What a cut in the middle of a character leaves of it.
const BROKEN: char = char::REPLACEMENT_CHARACTER;

/// The texts that are replaced with `[secret]`.
#[derive(Default)]
pub(crate) struct Mask {
    /// Found as they stand.
    short: BTreeSet<String>,
    /// Without spaces and line ends, and found in a text without them: programs wrap what they write.
    long: BTreeSet<String>,
    /// Length of the longest of them.
    longest: usize,
}

impl Mask {
    /// A mask for these values and their longer parts, also as JSON, source code and URLs spell them, and in base64.
    pub(crate) fn new<'a>(values: impl Iterator<Item = &'a Secret>) -> Self {
        let mut mask = Self::default();
        for value in values {
            let value = value.expose().trim();
            if value.len() >= VALUE_MIN {
                mask.add(value);
            }
            let parts = value.split(|c: char| c.is_whitespace() || ":/@?&=;,\"'".contains(c));
            for part in parts.filter(|part| part.len() >= PART_MIN) {
                mask.add(part);
            }
        }
        mask
    }

    fn add(&mut self, text: &str) {
        for text in spellings(text) {
            let squeezed = squeeze(&text);
            self.longest = self.longest.max(text.len());
            if squeezed.len() >= PART_MIN {
                self.long.insert(squeezed);
            } else {
                self.short.insert(text);
            }
        }
    }

    /// `text` without the values.
    pub(crate) fn apply(&self, text: &str) -> String {
        self.masked(text, false, false)
    }

    /// [`Mask::apply`] for the end of a text. The program may have been ended in the middle of a value; and if the
    /// beginning is `cut`, the text may also begin in one, and as much as the longest one is left out.
    pub(crate) fn apply_to_tail(&self, text: &str, cut: bool) -> String {
        self.masked(text, cut, true)
    }

    /// The beginning of what a program wrote, to be shown: without the values, at most `max` bytes, on one line. What is
    /// quoted is quoted after this.
    pub(crate) fn shown(&self, text: &[u8], max: usize) -> String {
        // A character has four bytes at most; and no value is cut that begins in what will be shown.
        let enough = text.len().min(4 * max + self.longest);
        let text = String::from_utf8_lossy(&text[..enough]);
        bounded(&self.masked(&text, false, true), max)
    }

    fn masked(&self, text: &str, begins_cut: bool, may_end_cut: bool) -> String {
        if self.longest == 0 {
            return text.to_owned();
        }
        let text = if begins_cut {
            text.trim_start_matches(BROKEN)
        } else {
            text
        };
        let text = if may_end_cut {
            text.trim_end_matches(BROKEN)
        } else {
            text
        };
        let squeezed = Squeezed::of(text);
        let short = self.short.iter();
        let short = short.flat_map(|secret| occurrences(text, secret, may_end_cut));
        let long = self.long.iter();
        let long = long.flat_map(|secret| occurrences(squeezed.text(), secret, may_end_cut));
        let mut hidden: Vec<_> = short
            .chain(long.map(|range| squeezed.original(range)))
            .collect();
        hidden.sort_by_key(|range| range.start);

        let mut at = if begins_cut {
            squeezed.after(self.longest)
        } else {
            0
        };
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for range in hidden {
            // Values overlap: what is left of the later one is hidden by the same mask.
            let is_new = range.start >= end;
            end = end.max(range.end);
            if range.end <= at {
                continue;
            }
            if range.start > at {
                out.push_str(&text[at..range.start]);
            }
            if is_new || out.is_empty() {
                out.push_str(MASK);
            }
            at = range.end;
        }
        out.push_str(&text[at..]);
        out
    }
}

/// A value as programs write it.
fn spellings(text: &str) -> [String; 10] {
    let inside = |quoted: String| quoted[1..quoted.len() - 1].to_owned();
    let json = serde_json::to_string(text).map_or_else(|_| text.to_owned(), inside);
    // As JSON and Rust, but for the quotation marks: Python chooses those that need no backslash.
    let lines = text.replace('\\', r"\\").replace('\n', r"\n");
    let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    [
        text.to_owned(),
        inside(format!("{text:?}")),
        // Many encoders leave nothing but ASCII.
        in_ascii(&json),
        in_ascii(&lines),
        json,
        lines,
        form.replace('+', "%20"),
        form,
        STANDARD_NO_PAD.encode(text),
        URL_SAFE_NO_PAD.encode(text),
    ]
}

/// `text` with `\uXXXX` for what is not ASCII, as JSON has it (RFC 8259 §7).
fn in_ascii(text: &str) -> String {
    let escaped = |c: char| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        units.map(|unit| format!("\\u{unit:04x}")).collect()
    };
    let plain = |c: char| String::from(c);
    let parts = text.chars();
    parts
        .map(|c| if c.is_ascii() { plain(c) } else { escaped(c) })
        .collect()
}

/// Where `secret` stands in `text`; its beginning too, if the text ends with it and may have been cut there.
fn occurrences(
    text: &str,
    secret: &str,
    may_end_cut: bool,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let whole = text.match_indices(secret);
    let mut found: Vec<_> = whole.map(|(at, _)| at..at + secret.len()).collect();
    if may_end_cut {
        let begun = begun(text.as_bytes(), secret.as_bytes());
        // Less says little, and most texts end with the first letter of some value.
        if begun >= VALUE_MIN {
            found.push(text.len() - begun..text.len());
        }
    }
    found.into_iter()
}

/// How much of the beginning of `secret`, but not all of it, is the end of `text`. By Knuth, Morris and Pratt: both may be
/// made to take long otherwise.
fn begun(text: &[u8], secret: &[u8]) -> usize {
    let mut fallback = vec![0; secret.len()];
    let step = |fallback: &[usize], mut length: usize, byte: u8| {
        while length > 0 && secret[length] != byte {
            length = fallback[length - 1];
        }
        length + usize::from(secret[length] == byte)
    };
    for at in 1..secret.len() {
        fallback[at] = step(&fallback, fallback[at - 1], secret[at]);
    }
    let most = text.len().min(secret.len().saturating_sub(1));
    let end = &text[text.len() - most..];
    end.iter()
        .fold(0, |length, byte| step(&fallback, length, *byte))
}

#[cfg(test)]
mod tests;
