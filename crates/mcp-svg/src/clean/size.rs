//! How large the picture is, from the root's width, height and viewBox.

use resvg::usvg::roxmltree::Node;

use crate::SvgError;

/// Width and height in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What browsers take where a file says nothing.
const DEFAULT: Size = Size {
    width: 300.0,
    height: 150.0,
};
/// Above this a number in a file is a mistake or an attack, in CSS pixels: 26 metres.
const LARGEST_SIDE: f64 = 100_000.0;
/// Coordinates may be larger than sides: maps use them so.
const LARGEST_COORDINATE: f64 = 1e9;
/// An aspect ratio beyond this makes a preview of one line.
const LONGEST_ASPECT: f64 = 1_000.0;

pub(super) fn of(root: Node<'_, '_>) -> Result<Size, SvgError> {
    let view_box = match root.attribute("viewBox") {
        Some(text) => Some(view_box(text)?),
        None => None,
    };
    let width = length(root, "width")?;
    let height = length(root, "height")?;
    let size = match (width, height, view_box) {
        (Some(width), Some(height), _) => Size { width, height },
        (Some(width), None, Some(of)) => Size {
            width,
            height: width * of.height / of.width,
        },
        (None, Some(height), Some(of)) => Size {
            width: height * of.width / of.height,
            height,
        },
        (None, None, Some(of)) => of,
        (width, height, None) => Size {
            width: width.unwrap_or(DEFAULT.width),
            height: height.unwrap_or(DEFAULT.height),
        },
    };
    let aspect = (size.width / size.height).max(size.height / size.width);
    if aspect > LONGEST_ASPECT {
        return Err(problem("one side is more than 1,000 times the other"));
    }
    Ok(size)
}

fn problem(problem: &str) -> SvgError {
    SvgError::Size {
        problem: problem.to_owned(),
    }
}

/// The size of the viewBox, which stands for the picture's where that is not given.
fn view_box(text: &str) -> Result<Size, SvgError> {
    let numbers: Option<Vec<f64>> = text
        .split([' ', ',', '\t', '\n', '\r'])
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().ok())
        .collect();
    match numbers.as_deref() {
        Some([x, y, width, height])
            if [x, y, width, height]
                .iter()
                .all(|n| n.abs() <= LARGEST_COORDINATE) =>
        {
            if *width > 0.0 && *height > 0.0 {
                Ok(Size {
                    width: *width,
                    height: *height,
                })
            } else {
                Err(problem("viewBox must have a width and a height above 0"))
            }
        }
        _ => Err(problem(
            "viewBox must be four numbers of at most 1,000,000,000",
        )),
    }
}

/// A side in pixels; nothing where it is not given, or relative.
fn length(root: Node<'_, '_>, name: &str) -> Result<Option<f64>, SvgError> {
    let Some(text) = root.attribute(name) else {
        return Ok(None);
    };
    let text = text.trim();
    let unit_at = text
        .find(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'e' | 'E') || c == '%')
        .or_else(|| {
            text.strip_suffix("em")
                .or(text.strip_suffix("ex"))
                .map(str::len)
        })
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    // As in "1em", the unit's own "e" may be left at the number's end.
    let (number, unit) = match number.strip_suffix('e') {
        Some(shorter) => (shorter, format!("e{unit}")),
        None => (number, unit.to_owned()),
    };
    let pixels_of_one = match unit.trim() {
        "" | "px" => 1.0,
        "pt" => 96.0 / 72.0,
        "pc" => 16.0,
        "in" => 96.0,
        "cm" => 96.0 / 2.54,
        "mm" => 9.6 / 2.54,
        "em" | "rem" => 12.0,
        "ex" => 6.0,
        "%" | "auto" | "vw" | "vh" => return Ok(None),
        _ => return Err(problem(&format!("{name} has an unknown unit"))),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number * pixels_of_one <= LARGEST_SIDE => {
            Ok(Some(number * pixels_of_one))
        }
        _ if text == "auto" => Ok(None),
        _ => Err(problem(&format!(
            "{name} must be above 0 and at most {LARGEST_SIDE} pixels"
        ))),
    }
}
