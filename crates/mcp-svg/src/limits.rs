//! What a file may have at most.

use serde::{Deserialize, Serialize};

/// The bounds on everything that is counted. The defaults take what tools and models draw, and keep a file below 200 ms
/// and 64 MiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The whole text, bytes.
    pub input_bytes: usize,
    /// Elements inside each other, as written. The root is at 1.
    pub depth: u32,
    /// Elements.
    pub elements: u32,
    /// Attributes of one element.
    pub attributes: u32,
    /// One attribute other than an embedded image, bytes.
    pub attribute_bytes: usize,
    /// All style sheets together, bytes.
    pub style_bytes: usize,
    /// Selectors in all style sheets together.
    pub selectors: u32,
    /// One embedded image, decoded from base64, bytes. A larger one is removed.
    pub image_bytes: usize,
    /// All embedded images together, pixels. What goes beyond is removed.
    pub image_pixels: u32,
    /// Different kinds of removed content that are named; the rest is counted in one line.
    pub removed_kinds: usize,
    /// Elements inside each other after references (`use`, patterns, masks, …) are followed.
    pub reference_depth: u32,
    /// The picture with all references followed, bytes of the renderer's memory, estimated.
    pub tree_bytes: u64,
    /// What drawing costs, in microseconds of a slow core, estimated.
    pub work_us: u64,
    /// The surfaces that drawing holds at one time, bytes.
    pub surface_bytes: u64,
    /// The longer side of the preview, pixels.
    pub preview_side: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            input_bytes: 512 * 1024,
            depth: 128,
            elements: 20_000,
            attributes: 128,
            attribute_bytes: 256 * 1024,
            style_bytes: 64 * 1024,
            selectors: 2_000,
            image_bytes: 256 * 1024,
            image_pixels: 1024 * 1024,
            removed_kinds: 40,
            reference_depth: 128,
            tree_bytes: 24 * 1024 * 1024,
            work_us: 100_000,
            surface_bytes: 32 * 1024 * 1024,
            preview_side: 512,
        }
    }
}
