//! Both steps at once, from bytes.

use serde::{Deserialize, Serialize};

use crate::{CleanSvg, Limits, Png, SvgError, clean, clean::within, preview};

/// A clean SVG and what it looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Processed {
    /// The file, and what is known of it.
    pub svg: CleanSvg,
    /// Its preview.
    pub preview: Png,
}

/// Cleans the one SVG in `text` and draws it. A plain function of its arguments, and all that goes in and out can be
/// serialised, so that it can run in a process of its own.
pub fn process(text: &[u8], limits: &Limits) -> Result<Processed, SvgError> {
    within("the text", text.len(), limits.input_bytes)?;
    let svg = clean(decoded(text)?, limits)?;
    let preview = preview::draw(&svg.svg, limits)?;
    Ok(Processed { svg, preview })
}

/// The text in UTF-8, or what it is instead.
fn decoded(bytes: &[u8]) -> Result<&str, SvgError> {
    let found = match bytes {
        [0x1f, 0x8b, ..] => "compressed with gzip",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'<', 0, ..] | [0, b'<', ..] => "in UTF-16",
        [0, 0, ..] => "in UTF-32 or binary",
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => return Ok(text),
            Err(error) => {
                let at = error.valid_up_to();
                return Err(SvgError::NotUtf8 {
                    found: format!("not UTF-8 from byte {at} on"),
                });
            }
        },
    };
    Err(SvgError::NotUtf8 {
        found: found.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &str =
        "<svg viewBox='0 0 2 1'><rect width='2' height='1' fill='red'/><text y='1'>a</text></svg>";

    #[test]
    fn the_longer_side_of_a_preview_is_as_asked() {
        let processed = process(SVG.as_bytes(), &Limits::default()).expect("it is clean");
        assert_eq!(
            (processed.preview.width, processed.preview.height),
            (512, 256)
        );
        assert!(processed.preview.data.starts_with(b"\x89PNG"));
    }

    #[test]
    fn results_and_errors_cross_a_process_boundary() {
        let processed = process(SVG.as_bytes(), &Limits::default());
        for result in [processed, process(b"nothing", &Limits::default())] {
            let json = serde_json::to_string(&result).expect("it can be written");
            let read: Result<Processed, SvgError> = serde_json::from_str(&json).expect("and read");
            assert_eq!(read, result);
        }
    }

    #[test]
    fn other_encodings_are_named() {
        for (bytes, what) in [
            (b"\x1f\x8b\x08\0".as_slice(), "gzip"),
            (b"\xff\xfe<\0s\0", "UTF-16"),
            (b"\0<\0s\0v\0g", "UTF-16"),
            (b"<svg>\xff</svg>", "byte 5"),
        ] {
            let Err(SvgError::NotUtf8 { found }) = process(bytes, &Limits::default()) else {
                panic!("{bytes:?} is not UTF-8");
            };
            assert!(found.contains(what), "{found}");
        }
    }
}
