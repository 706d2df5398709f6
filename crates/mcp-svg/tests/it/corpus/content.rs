//! Languages and formats inside: style sheets, text, images.

use super::{Add, RECT, each, nested, svg};

pub(super) fn styles(add: Add<'_>) {
    let rules = each(1_900, |i| format!(".c{i}{{fill:red}}"));
    add(
        "style-rules-for-many",
        svg(&format!(
            "<style>{rules}</style>{}",
            "<rect class='c1' width='1' height='1'/>".repeat(9_000)
        )),
    );
    add(
        "style-rules-9000",
        svg(&format!("<style>{}</style>", "a{x:1}".repeat(9_000))),
    );
    add(
        "style-selectors-in-one",
        svg(&format!(
            "<style>{}{{fill:red}}</style>",
            "a,".repeat(20_000)
        )),
    );
    let ancestors = format!("<style>x {}g{{fill:red}}</style>", "g ".repeat(20));
    add(
        "style-ancestors",
        svg(&format!("{ancestors}{}", nested("<g>", 110, "", "</g>"))),
    );
    add(
        "style-bytes-100000",
        svg(&format!("<style>a{{fill:{}}}</style>", "x".repeat(100_000))),
    );
    add(
        "style-braces",
        svg(&format!("<style>{}</style>", "{".repeat(60_000))),
    );
    add(
        "style-quotes",
        svg(&format!("<style>{}</style>", "a{x:'".repeat(12_000))),
    );
    add(
        "style-comments",
        svg(&format!("<style>{}</style>", "/*".repeat(30_000))),
    );
    add(
        "style-attribute-long",
        svg(&format!("<g style='{}'/>", "fill:red;".repeat(25_000))),
    );
    let many = "fill:red;".repeat(250);
    add(
        "style-declarations-for-all",
        svg(&format!(
            "<style>{}{{{many}}}</style>{}",
            "*,".repeat(100) + "g",
            "<rect width='9' height='9'/>".repeat(9_000)
        )),
    );
    add(
        "style-declarations-times-selectors",
        svg(&format!(
            "<style>{}</style>",
            each(20, |i| format!("{}b{i}{{{many}}}", "a,".repeat(99)))
        )),
    );
    add(
        "style-reference-from-all",
        svg(&format!(
            "<style>*{{fill:url(#p);stroke:url(#p);mask:url(#m)}}</style><pattern id='p'/><mask id='m'/>{}",
            "<rect width='9' height='9'/>".repeat(3_000)
        )),
    );
}

pub(super) fn texts(add: Add<'_>) {
    add(
        "text-400000",
        svg(&format!("<text>{}</text>", "a".repeat(400_000))),
    );
    add(
        "text-9000",
        svg(&format!(
            "<text y='50' font-size='9'>{}</text>",
            "Ag ".repeat(3_000)
        )),
    );
    add(
        "text-many",
        svg(&"<text y='50' font-size='90' stroke='red'>&amp;</text>".repeat(8_000)),
    );
    add(
        "text-huge-glyphs",
        svg(&format!(
            "<text y='9' font-size='900' fill-opacity='.1'>{}</text>",
            "M".repeat(3_000)
        )),
    );
    let places = "1 ".repeat(9_000);
    add(
        "text-places",
        svg(&format!(
            "<text x='{places}' y='{places}' rotate='{places}'>{}</text>",
            "a".repeat(9_000)
        )),
    );
    let curve = each(4_000, |i| format!("Q{} 9 {} 90", i % 100, (i * 7) % 100));
    add(
        "text-on-a-long-path",
        svg(&format!(
            "<path id='p' d='M0 0{curve}'/><text><textPath href='#p'>{}</textPath></text>",
            "a".repeat(6_000)
        )),
    );
    add(
        "text-spans-5000",
        svg(&format!(
            "<text y='50'>{}</text>",
            "<tspan fill='red' dx='1'>a</tspan>".repeat(5_000)
        )),
    );
    add(
        "text-combining",
        svg(&format!("<text y='50'>e{}</text>", "\u{301}".repeat(9_000))),
    );
    add(
        "text-bidi",
        svg(&format!(
            "<text y='50'>{}</text>",
            "\u{202e}a\u{5d0}\u{202d}".repeat(2_000)
        )),
    );
    add(
        "text-with-a-pattern",
        svg(&format!(
            "<pattern id='p' width='.5' height='.5'>{}</pattern><text y='50' fill='url(#p)'>{}</text>",
            RECT.repeat(20),
            "<tspan>a</tspan>".repeat(2_000)
        )),
    );
    add(
        "text-title-long",
        svg(&format!("<title>{}</title>", "t ".repeat(100_000))),
    );
}

pub(super) fn images(add: Add<'_>) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let image = |pixels: u32| {
        let pixmap = resvg::tiny_skia::Pixmap::new(pixels, pixels).expect("it is small");
        let png = pixmap.encode_png().expect("it can be encoded");
        format!(
            "<image id='i' width='100' height='100' href='data:image/png;base64,{}'/>",
            STANDARD.encode(png)
        )
    };
    add("image-1000-by-1000", svg(&image(1_000)));
    add(
        "image-1000-by-1000-used-500-times",
        svg(&format!(
            "{}{}",
            image(1_000),
            "<use href='#i'/>".repeat(500)
        )),
    );
    add("image-3000-by-3000", svg(&image(3_000)));
    add("images-200", svg(&image(100).repeat(200)));
    add(
        "image-300000-bytes",
        svg(&format!(
            "<image href='data:image/png;base64,{}'/>",
            "A".repeat(400_000)
        )),
    );
    add(
        "image-wide-base64",
        svg(&format!(
            "<image href='data:image/png;base64,{}'/>",
            " \n".repeat(150_000)
        )),
    );
    for scans in [64, 15_000] {
        add(
            &format!("image-jpeg-of-{scans}-scans"),
            svg(&format!(
                "<image width='100' height='100' href='data:image/jpeg;base64,{}'/>",
                STANDARD.encode(jpeg_of_scans(scans))
            )),
        );
    }
}

/// A progressive JPEG of 1024 × 1024 grey pixels. Each scan but the first says in two bytes that it changes nothing.
fn jpeg_of_scans(scans: usize) -> Vec<u8> {
    let mut jpeg = b"\xff\xd8\xff\xdb\0\x43\0".to_vec();
    jpeg.extend([1; 64]);
    jpeg.extend(b"\xff\xc2\0\x0b\x08\x04\0\x04\0\x01\x01\x11\0");
    // Two tables of Huffman codes with one code each: of DC for "no difference", of AC for "so many blocks end here".
    for (table, symbol) in [(0x00, 0x00), (0x10, 0xe0)] {
        jpeg.extend([0xff, 0xc4, 0, 20, table, 1]);
        jpeg.extend([0; 15]);
        jpeg.push(symbol);
    }
    jpeg.extend(b"\xff\xda\0\x08\x01\x01\0\0\0\0");
    jpeg.extend([0; 128 * 128 / 8]);
    for _ in 1..scans {
        jpeg.extend(b"\xff\xda\0\x08\x01\x01\0\x01\x3f\0\0\0");
    }
    jpeg.extend(b"\xff\xd9");
    jpeg
}
