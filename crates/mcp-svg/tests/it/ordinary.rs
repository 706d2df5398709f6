//! Ordinary files look the same before and after, to the pixel.

use std::sync::Arc;

use mcp_svg::{Limits, process};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{FontResolver, ImageHrefResolver, Options, Tree, fontdb},
};

use crate::{checker::complaints, corpus, folder};

/// The renderer straight on the source, with the same font and no files, and nothing of the crate in between.
fn before(source: &str, side: u32) -> Pixmap {
    // A model's answer has words and a fence around it.
    let start = source
        .find("<?xml")
        .or(source.find("<svg"))
        .or(source.find("<s:svg"))
        .expect("a root");
    let end = source.rfind("svg>").expect("its end") + "svg>".len();
    let mut fonts = fontdb::Database::new();
    let font = include_bytes!("../../fonts/OpenSans-Regular.ttf");
    fonts.load_font_source(fontdb::Source::Binary(Arc::new(font)));
    let options = Options {
        image_href_resolver: ImageHrefResolver {
            resolve_data: ImageHrefResolver::default_data_resolver(),
            resolve_string: Box::new(|_, _| None),
        },
        font_resolver: FontResolver {
            select_font: Box::new(|_, fonts| fonts.faces().next().map(|face| face.id)),
            select_fallback: Box::new(|_, _, _| None),
        },
        fontdb: Arc::new(fonts),
        ..Options::default()
    };
    let tree =
        Tree::from_str(&source[start..end], &options).expect("the renderer takes it as it is");
    let size = tree.size();
    let scale = side as f32 / size.width().max(size.height());
    let pixels = |length: f32| ((length * scale).round() as u32).clamp(1, side);
    let mut pixmap = Pixmap::new(pixels(size.width()), pixels(size.height())).expect("a size");
    resvg::render(
        &tree,
        Transform::from_scale(scale, scale),
        &mut pixmap.as_mut(),
    );
    pixmap
}

#[test]
fn ordinary_files_look_the_same_before_and_after() {
    let cases = corpus::files(&folder("ordinary"));
    assert!(cases.len() >= 40, "the corpus has {} files", cases.len());
    let limits = Limits::default();
    let mut wrong = Vec::new();
    for case in cases {
        let processed = match process(&case.bytes, &limits) {
            Ok(processed) => processed,
            Err(error) => {
                wrong.push(format!("{}: refused: {error}", case.name));
                continue;
            }
        };
        let found = complaints(&processed.svg.svg);
        if !found.is_empty() {
            wrong.push(format!("{}: {found:?}", case.name));
        }
        let source = std::str::from_utf8(&case.bytes).expect("text");
        let before = before(source, limits.preview_side);
        let after = Pixmap::decode_png(&processed.preview.data).expect("a PNG");
        if (before.width(), before.height()) != (after.width(), after.height()) {
            wrong.push(format!("{}: another size", case.name));
            continue;
        }
        // A PNG is not premultiplied, so the way through it may round colours of translucent pixels: both sides go it.
        let before = before.encode_png().expect("it can be encoded");
        let before = Pixmap::decode_png(&before).expect("and decoded");
        let different = before
            .pixels()
            .iter()
            .zip(after.pixels())
            .filter(|(a, b)| a != b)
            .count();
        if different > 0 {
            wrong.push(format!("{}: {different} pixels differ", case.name));
        }
        if before.pixels().iter().all(|pixel| pixel.alpha() == 0) {
            wrong.push(format!(
                "{}: shows nothing, so that it tests nothing",
                case.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
