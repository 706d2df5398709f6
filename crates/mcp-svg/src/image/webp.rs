//! WebP: a RIFF file of chunks. The size stands in the picture's own chunk, and once more in an extended header.

use super::u16_le;

/// Width and height: the larger of the canvas and the picture in it. Animations are not taken.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    (bytes.get(..4)? == b"RIFF" && bytes.get(8..12)? == b"WEBP").then_some(())?;
    let mut canvas = (0, 0);
    let mut at = 12;
    loop {
        let kind = bytes.get(at..at + 4)?;
        let length: [u8; 4] = bytes.get(at + 4..at + 8)?.try_into().ok()?;
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        let body = at + 8;
        let picture = match kind {
            b"VP8X" => {
                let animated = bytes.get(body)? & 0x02 != 0;
                (!animated).then_some(())?;
                canvas = (u24(bytes, body + 4)? + 1, u24(bytes, body + 7)? + 1);
                None
            }
            b"VP8 " => {
                (bytes.get(body + 3..body + 6)? == [0x9d, 0x01, 0x2a]).then_some(())?;
                let side = |at| Some(u16_le(bytes, at)? & 0x3fff);
                Some((side(body + 6)?, side(body + 8)?))
            }
            b"VP8L" => {
                (*bytes.get(body)? == 0x2f).then_some(())?;
                let bits = u24(bytes, body + 1)? | u32::from(*bytes.get(body + 4)?) << 24;
                Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
            }
            _ => None,
        };
        if let Some((width, height)) = picture {
            return Some((width.max(canvas.0), height.max(canvas.1)));
        }
        at = body.checked_add(length)?.checked_add(length % 2)?;
    }
}

/// Three bytes, the least significant first.
fn u24(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u16_le(bytes, at)? | u32::from(*bytes.get(at + 2)?) << 16)
}
