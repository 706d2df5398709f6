//! PNG: a signature and chunks. Only the chunks that make the picture are kept: the others hold text, profiles and the like,
//! which decoders unpack without need.

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Header, palette, transparency, pixels, end.
const KEPT: [&[u8; 4]; 5] = [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"];

/// Width and height from the header.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let rest = bytes.strip_prefix(SIGNATURE)?;
    (rest.get(4..8)? == b"IHDR").then_some(())?;
    Some((u32_be(rest, 8)?, u32_be(rest, 12)?))
}

/// The file with the chunks that make the picture, and nothing behind its end.
pub(super) fn essential(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes.strip_prefix(SIGNATURE)?;
    let mut out = SIGNATURE.to_vec();
    loop {
        let length = usize::try_from(u32_be(rest, 0)?).ok()?;
        let kind: &[u8; 4] = rest.get(4..8)?.try_into().ok()?;
        let (chunk, behind) = rest.split_at_checked(length.checked_add(12)?)?;
        if KEPT.contains(&kind) {
            out.extend_from_slice(chunk);
        }
        if kind == b"IEND" {
            return Some(out);
        }
        rest = behind;
    }
}

fn u32_be(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}
