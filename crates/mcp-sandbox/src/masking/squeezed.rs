//! A text without what is put into it when it is wrapped.

use std::ops::Range;

/// Line ends and indentation, and the frames that some loggers draw.
fn is_filler(c: char) -> bool {
    c.is_whitespace() || c.is_control() || ('\u{2500}'..='\u{257f}').contains(&c)
}

/// `text` without filler.
pub(super) fn squeeze(text: &str) -> String {
    text.chars().filter(|c| !is_filler(*c)).collect()
}

/// A text without filler that knows where it comes from.
pub(super) struct Squeezed {
    text: String,
    /// Where each byte of it stands in the original.
    places: Vec<usize>,
    original_length: usize,
}

impl Squeezed {
    pub(super) fn of(original: &str) -> Self {
        let kept = original.char_indices().filter(|(_, c)| !is_filler(*c));
        let places = kept.flat_map(|(at, c)| at..at + c.len_utf8());
        Self {
            text: squeeze(original),
            places: places.collect(),
            original_length: original.len(),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The part of the original that became this part, which is not empty.
    pub(super) fn original(&self, part: Range<usize>) -> Range<usize> {
        self.places[part.start]..self.places[part.end - 1] + 1
    }

    /// The place in the original that has `length` bytes of this before it, or a little more.
    pub(super) fn after(&self, length: usize) -> usize {
        let at = self.text.ceil_char_boundary(length);
        let place = self.places.get(at);
        place.copied().unwrap_or(self.original_length)
    }
}
