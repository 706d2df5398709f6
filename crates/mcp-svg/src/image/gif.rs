//! GIF: a header with the size of the screen, blocks, and frames with sizes of their own.

use super::u16_le;

/// The larger of the screen and the first frame, which is what is drawn.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    (bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a")).then_some(())?;
    let screen = (u16_le(bytes, 6)?, u16_le(bytes, 8)?);
    let mut at = 13 + color_table(*bytes.get(10)?);
    loop {
        match bytes.get(at)? {
            // An extension: two bytes, then sub-blocks of a length each, up to an empty one.
            0x21 => {
                at += 2;
                loop {
                    let length = usize::from(*bytes.get(at)?);
                    at += 1 + length;
                    if length == 0 {
                        break;
                    }
                }
            }
            0x2c => {
                let frame = (u16_le(bytes, at + 5)?, u16_le(bytes, at + 7)?);
                return Some((screen.0.max(frame.0), screen.1.max(frame.1)));
            }
            _ => return None,
        }
    }
}

/// The bytes of the colour table that `flags` announce.
fn color_table(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}
