//! What it costs the renderer to set a text.
//!
//! It shapes each chunk, which ends where a place is given, once for each of its spans, as a whole; and in each it looks for
//! every character from the beginning. So long chunks with many spans are what is expensive.

use resvg::usvg::roxmltree::Node;

/// Beginning a chunk, nanoseconds.
const CHUNK_NS: u64 = 40_000;
/// Shaping a character of a chunk, for each span in it.
const SHAPED_NS: u64 = 1_000;
/// Counting to a character from the beginning of its chunk.
const COUNTED_NS: u64 = 3;
/// A segment of a path with text on it, for each character; and measuring it.
const PASSED_NS: u64 = 3;
const MEASURED_NS: u64 = 2_000;
/// Finding a character's place on a path.
const PLACED_NS: u64 = 5_000;

/// What a text consists of, and the time to set it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text {
    pub(super) characters: u64,
    pub(super) spans: u64,
    pub(super) ns: u64,
}

#[derive(Default)]
struct Chunk {
    characters: u64,
    spans: u64,
}

impl Chunk {
    fn ns(&self) -> u64 {
        let shaped = self.characters.saturating_mul(self.spans);
        let counted = self.characters.saturating_mul(self.characters);
        CHUNK_NS
            .saturating_add(shaped.saturating_mul(SHAPED_NS))
            .saturating_add(counted.saturating_mul(COUNTED_NS))
    }
}

/// Counts a `text` element.
pub(super) fn count(node: Node<'_, '_>) -> Text {
    let mut text = Text::default();
    let mut chunk = Chunk::default();
    for inside in node.descendants() {
        if inside.is_text() {
            let characters = inside.text().unwrap_or_default().chars().count() as u64;
            text.characters += characters;
            text.spans += 1;
            chunk.characters += characters;
            chunk.spans += 1;
            continue;
        }
        let places = ["x", "y"]
            .into_iter()
            .filter_map(|name| inside.attribute(name))
            .map(|list| {
                list.split([' ', ','])
                    .filter(|place| !place.is_empty())
                    .count()
            })
            .max()
            .unwrap_or_default();
        let on_a_path = inside.tag_name().name() == "textPath";
        if places > 0 || on_a_path {
            text.ns = text.ns.saturating_add(chunk.ns());
            chunk = Chunk::default();
            // Each further place is a chunk of one character.
            text.ns = text.ns.saturating_add(places as u64 * CHUNK_NS);
        }
    }
    text.ns = text.ns.saturating_add(chunk.ns());
    text
}

/// The time to set so many characters on a path of so many numbers.
pub(super) fn on_a_path(characters: u64, numbers: u64) -> u64 {
    let passed = characters.saturating_mul(numbers).saturating_mul(PASSED_NS);
    passed
        .saturating_add(numbers.saturating_mul(MEASURED_NS))
        .saturating_add(characters.saturating_mul(PLACED_NS))
}
