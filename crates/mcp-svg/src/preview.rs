//! From a clean SVG to a picture of it, within a budget of time and memory.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{
        FontResolver, ImageHrefResolver, ImageKind, Options, Tree, fontdb, roxmltree::Document,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{CleanSvg, Limits, Position, SvgError, clean, cost, expand, image::Format};

/// Open Sans, cut down to Latin, Greek and Cyrillic: all text of a preview is set in it, whatever font the file names.
const FONT: &[u8] = include_bytes!("../fonts/OpenSans-Regular.ttf");

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Png {
    /// The file. In JSON it is base64.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub data: Vec<u8>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Draws `svg`. It is cleaned once more on the way, so that a value that came from elsewhere is no way around [`clean()`].
pub fn preview(svg: &CleanSvg, limits: &Limits) -> Result<Png, SvgError> {
    draw(&clean(&svg.svg, limits)?.svg, limits)
}

/// Draws a text that [`clean()`] has just written.
pub(crate) fn draw(svg: &str, limits: &Limits) -> Result<Png, SvgError> {
    let document = clean::parse(svg, Position { line: 1, column: 1 }, limits)?;
    let need = expand::count(&document, limits)?;
    // What is above bounds stack, memory and time. The renderer should then never fail; if it does, one file is refused
    // instead of a process lost.
    let drawn = panic::catch_unwind(AssertUnwindSafe(|| render(&document, need.ns, limits)));
    drawn.unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<&str>()
            .map(|said| (*said).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        Err(SvgError::RendererFailed {
            problem: said.unwrap_or_default().chars().take(200).collect(),
        })
    })
}

fn render(document: &Document<'_>, spent_ns: u64, limits: &Limits) -> Result<Png, SvgError> {
    let tree =
        Tree::from_xmltree(document, &options(limits)).map_err(|error| SvgError::NotDrawn {
            problem: error.to_string().chars().take(200).collect(),
        })?;
    let size = tree.size();
    let (canvas, scale) = cost::canvas(size.width(), size.height(), limits.preview_side)
        .ok_or_else(|| not_drawn("its size is none"))?;
    let transform = Transform::from_scale(scale, scale);
    let (width, height) = (canvas.width(), canvas.height());
    cost::estimate(&tree, transform, (width, height), spent_ns, limits)?;
    let mut pixmap = Pixmap::new(width, height).ok_or_else(|| not_drawn("its size is none"))?;
    resvg::render(&tree, transform, &mut pixmap.as_mut());
    let data = pixmap
        .encode_png()
        .map_err(|error| not_drawn(&error.to_string()))?;
    Ok(Png {
        data,
        width,
        height,
    })
}

fn not_drawn(problem: &str) -> SvgError {
    SvgError::NotDrawn {
        problem: problem.to_owned(),
    }
}

/// The renderer's options: no file is ever opened, and no image taken that the allowlist would not.
fn options(limits: &Limits) -> Options<'static> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_source(fontdb::Source::Binary(Arc::new(FONT)));
    let most_pixels = u64::from(limits.image_pixels);
    Options {
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(move |media_type, data, _| {
                let format = Format::of_type(media_type)?;
                let pixels = format.pixels(&data)?;
                (pixels <= most_pixels).then(|| match format {
                    Format::Png => ImageKind::PNG(data),
                    Format::Jpeg => ImageKind::JPEG(data),
                    Format::Gif => ImageKind::GIF(data),
                    Format::Webp => ImageKind::WEBP(data),
                })
            }),
            // By default this opens the file of that name.
            resolve_string: Box::new(|_, _| None),
        },
        font_resolver: FontResolver {
            select_font: Box::new(|_, fonts| fonts.faces().next().map(|face| face.id)),
            select_fallback: Box::new(|_, _, _| None),
        },
        fontdb: Arc::new(fonts),
        ..Options::default()
    }
}

fn to_base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(data))
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    STANDARD.decode(text).map_err(D::Error::custom)
}
