//! JPEG: segments behind markers. One of them, the start of frame, has the size.

use super::u16_be;

/// Most scans of a progressive file, of which encoders write a dozen. Decoders go through the whole picture for each, and an
/// empty one costs a file ten bytes.
const SCANS_MAX: usize = 64;

/// Width and height of the only frame. A file with several frames is none for us: decoders differ in which they take. Nor
/// is one with more than [`SCANS_MAX`] scans.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    (bytes.get(..3)? == [0xff, 0xd8, 0xff]).then_some(())?;
    let mut found = None;
    let mut scans = 0;
    let mut at = 2;
    loop {
        // Between segments, and in the coded pixels, anything up to the next marker is skipped.
        let Some(offset) = bytes[at..].windows(2).position(is_marker) else {
            return found;
        };
        at += offset;
        let marker = bytes[at + 1];
        at += 2;
        match marker {
            0xd9 => return found,
            // Markers that stand alone.
            0x01 | 0xd0..=0xd8 => {}
            _ => {
                let length = usize::try_from(u16_be(bytes, at)?).ok()?;
                scans += usize::from(marker == 0xda);
                if scans > SCANS_MAX {
                    return None;
                }
                if is_frame(marker) {
                    if found.is_some() {
                        return None;
                    }
                    found = Some((u16_be(bytes, at + 5)?, u16_be(bytes, at + 3)?));
                }
                at = at.checked_add(length.max(2))?;
                if at > bytes.len() {
                    return None;
                }
            }
        }
    }
}

fn is_marker(pair: &[u8]) -> bool {
    pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff)
}

/// SOF0 to SOF15, without the three tables that share their range.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}
