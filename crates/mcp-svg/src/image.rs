//! Embedded images: `data:` URLs whose bytes are what they say they are, and of a bounded size.

mod gif;
mod jpeg;
mod png;
mod webp;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Takes base64 with padding, without it, and with stray last bits: tools write all three. It writes the first.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A raster format that may be embedded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Jpeg,
    Gif,
    Webp,
}

impl Format {
    pub(crate) fn of_type(media_type: &str) -> Option<Format> {
        match media_type.to_ascii_lowercase().as_str() {
            "image/png" => Some(Format::Png),
            "image/jpeg" | "image/jpg" => Some(Format::Jpeg),
            "image/gif" => Some(Format::Gif),
            "image/webp" => Some(Format::Webp),
            _ => None,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Format::Png => "image/png",
            Format::Jpeg => "image/jpeg",
            Format::Gif => "image/gif",
            Format::Webp => "image/webp",
        }
    }

    /// The size in pixels that a decoder would have to make room for, or nothing where the bytes are not of this format.
    pub(crate) fn pixels(self, bytes: &[u8]) -> Option<u64> {
        let (width, height) = match self {
            Format::Png => png::size(bytes)?,
            Format::Jpeg => jpeg::size(bytes)?,
            Format::Gif => gif::size(bytes)?,
            Format::Webp => webp::size(bytes)?,
        };
        let pixels = u64::from(width) * u64::from(height);
        (pixels > 0).then_some(pixels)
    }
}

/// An image that may stay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Embedded {
    /// A `data:` URL, written anew.
    pub(crate) url: String,
    /// Its size when decoded.
    pub(crate) pixels: u64,
}

/// Why an image is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a `data:` URL of a raster image in base64.
    NotEmbedded,
    /// The bytes are not of the format that is named.
    Mismatch,
    /// Too many bytes.
    TooLarge,
}

/// The image in `href`, of at most `limit` bytes.
pub(crate) fn embedded(href: &str, limit: usize) -> Result<Embedded, Refusal> {
    let (header, body) = href.trim().split_once(',').ok_or(Refusal::NotEmbedded)?;
    let mut parameters = header
        .get(..5)
        .filter(|scheme| scheme.eq_ignore_ascii_case("data:"))
        .map(|_| header[5..].split(';').map(str::trim))
        .ok_or(Refusal::NotEmbedded)?;
    let format = parameters
        .next()
        .and_then(Format::of_type)
        .ok_or(Refusal::NotEmbedded)?;
    let in_base64 = parameters
        .next_back()
        .is_some_and(|last| last.eq_ignore_ascii_case("base64"));
    if !in_base64 {
        return Err(Refusal::NotEmbedded);
    }
    // Four characters stand for three bytes; what is longer needs not be decoded to be known as too long.
    let digits: Vec<u8> = body.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    if digits.len() / 4 > limit / 3 + 1 {
        return Err(Refusal::TooLarge);
    }
    let bytes = BASE64.decode(&digits).map_err(|_| Refusal::Mismatch)?;
    if bytes.len() > limit {
        return Err(Refusal::TooLarge);
    }
    let bytes = match format {
        Format::Png => png::essential(&bytes).ok_or(Refusal::Mismatch)?,
        _ => bytes,
    };
    let pixels = format.pixels(&bytes).ok_or(Refusal::Mismatch)?;
    Ok(Embedded {
        url: format!(
            "data:{};base64,{}",
            format.media_type(),
            BASE64.encode(&bytes)
        ),
        pixels,
    })
}

/// Two bytes at `at`, the most significant first.
fn u16_be(bytes: &[u8], at: usize) -> Option<u32> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u32::from(pair[0]) << 8 | u32::from(pair[1]))
}

/// Two bytes at `at`, the least significant first.
fn u16_le(bytes: &[u8], at: usize) -> Option<u32> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(u32::from(pair[1]) << 8 | u32::from(pair[0]))
}

#[cfg(test)]
mod tests;
