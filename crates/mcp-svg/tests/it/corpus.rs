//! The corpora: files of the repository, and large ones that are made here. The benchmark has the same ones.

use std::{fs, path::Path};

/// A file by its name.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The SVG files of a folder, by name.
pub(crate) fn files(folder: &Path) -> Vec<Case> {
    let entries = fs::read_dir(folder).expect("the corpus is there");
    let mut cases: Vec<Case> = entries
        .map(|entry| entry.expect("it is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "svg"))
        .map(|path| Case {
            name: path
                .file_stem()
                .expect("it has a name")
                .to_string_lossy()
                .into_owned(),
            bytes: fs::read(&path).expect("it is readable"),
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// Hostile files that are too large, or too regular, to be kept as files.
pub(crate) fn made() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, text: String| {
        cases.push(Case {
            name: format!("made-{name}"),
            bytes: text.into_bytes(),
        });
    };
    nesting(&mut add);
    amounts(&mut add);
    references(&mut add);
    surfaces(&mut add);
    paths(&mut add);
    styles(&mut add);
    texts(&mut add);
    images(&mut add);
    tags(&mut add);
    cases
}

type Add<'a> = &'a mut dyn FnMut(&str, String);

fn svg(inside: &str) -> String {
    format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 100'>{inside}</svg>")
}

fn nested(open: &str, count: usize, inside: &str, close: &str) -> String {
    format!("{}{inside}{}", open.repeat(count), close.repeat(count))
}

fn each(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect()
}

const RECT: &str = "<rect width='100' height='100' fill='#123'/>";

fn nesting(add: Add<'_>) {
    add("depth-100000", svg(&"<g>".repeat(100_000)));
    add("depth-closed", svg(&nested("<g>", 50_000, "", "</g>")));
    add("depth-as-allowed", svg(&nested("<g>", 126, RECT, "</g>")));
    add(
        "depth-of-clips-as-allowed",
        svg(&format!(
            "<clipPath id='c'>{RECT}</clipPath>{}",
            nested("<g clip-path='url(#c)'>", 60, RECT, "</g>")
        )),
    );
    let small = "<rect x='50' y='50' width='1' height='1'/>";
    add(
        "depth-of-small-layers",
        svg(&nested("<g opacity='.99'>", 120, small, "</g>")),
    );
    add(
        "depth-by-references-as-allowed",
        svg(&format!(
            "{}<g id='g40'>{small}</g>",
            each(40, |i| format!(
                "<g id='g{i}'><use href='#g{}'/></g>",
                i + 1
            ))
        )),
    );
    add(
        "depth-of-text",
        svg(&nested(
            "<text><tspan>",
            1,
            &nested("<tspan>", 120, "a", "</tspan>"),
            "</tspan></text>",
        )),
    );
    add(
        "depth-of-svgs",
        svg(&nested(
            "<svg width='99%' height='99%' viewBox='0 0 100 100'>",
            120,
            RECT,
            "</svg>",
        )),
    );
    add(
        "depth-of-switches",
        svg(&nested("<switch>", 120, RECT, "</switch>")),
    );
    add(
        "depth-of-links",
        svg(&nested("<a href='javascript:a()'>", 120, RECT, "</a>")),
    );
    add(
        "depth-by-references",
        svg(&each(200, |i| {
            format!("<g id='g{i}'><g><use href='#g{}'/></g></g>", i + 1)
        })),
    );
    add(
        "depth-by-deep-references",
        svg(&each(10, |i| {
            let inside = format!("<use href='#g{}'/>", i + 1);
            format!("<g id='g{i}'>{}</g>", nested("<g>", 100, &inside, "</g>"))
        })),
    );
    add(
        "depth-by-masks",
        svg(&format!(
            "{}<rect width='100' height='100' mask='url(#m0)'/>",
            each(100, |i| format!(
                "<mask id='m{i}'><rect width='100' height='100' fill='#fff' mask='url(#m{})'/></mask>",
                i + 1
            ))
        )),
    );
    add(
        "depth-by-patterns",
        svg(&format!(
            "{}<rect width='100' height='100' fill='url(#p0)'/>",
            each(100, |i| format!(
                "<pattern id='p{i}' width='1' height='1'><rect width='100' height='100' fill='url(#p{})'/></pattern>",
                i + 1
            ))
        )),
    );
}

fn amounts(add: Add<'_>) {
    add("elements-1000000", svg(&"<g/>".repeat(1_000_000)));
    add("elements-100000", svg(&"<g/>".repeat(100_000)));
    add("elements-19000", svg(&"<g/>".repeat(19_000)));
    add(
        "rects-over-all",
        svg(&"<rect width='99' height='99'/>".repeat(15_000)),
    );
    add(
        "rects-small",
        svg(&"<rect width='1' height='1'/>".repeat(15_000)),
    );
    add(
        "circles-with-opacity",
        svg(&"<circle r='50' opacity='.9'/>".repeat(12_000)),
    );
    add(
        "attributes-1000",
        svg(&format!("<g {}/>", each(1_000, |i| format!("a{i}='' ")))),
    );
    add(
        "attribute-300000",
        svg(&format!("<path d='M{}'/>", "1 1 ".repeat(75_000))),
    );
    add(
        "attribute-name-long",
        svg(&format!("<g {}='x'/>", "a".repeat(100_000))),
    );
    add(
        "element-name-long",
        svg(&format!("<{0}></{0}>", "b".repeat(100_000))),
    );
    add(
        "id-long",
        svg(&format!("<g id='{}'/>", "c".repeat(100_000))),
    );
    add(
        "classes-20000",
        svg(&format!("<g class='{}'/>", "d ".repeat(20_000))),
    );
    add(
        "names-removed-1000",
        svg(&each(1_000, |i| format!("<x{i} on{i}='a'/>"))),
    );
    add("comments-20000", svg(&"<!-- -->".repeat(20_000)));
}

fn references(add: Add<'_>) {
    let laughs = |levels: usize, wide: usize| {
        let below = |i: usize| format!("<use href='#u{i}'/>").repeat(wide);
        svg(&format!(
            "<defs><rect id='u0' width='9' height='9'/>{}</defs><use href='#u{levels}'/>",
            each(levels, |i| format!("<g id='u{}'>{}</g>", i + 1, below(i)))
        ))
    };
    add("use-2-to-the-30", laughs(30, 2));
    add("use-10-to-the-8", laughs(8, 10));
    add("use-4096", laughs(12, 2));
    add(
        "use-of-one-5000",
        svg(&format!(
            "<g id='a'>{RECT}{RECT}</g>{}",
            "<use href='#a'/>".repeat(5_000)
        )),
    );
    let patterns = |levels: usize, wide: usize, units: &str| {
        let filled =
            |i: usize| format!("<rect width='9' height='9' fill='url(#p{i})'/>").repeat(wide);
        svg(&format!(
            "{}<rect width='100' height='100' fill='url(#p{levels})'/>",
            each(levels + 1, |i| format!(
                "<pattern id='p{i}' width='20' height='20' {units}>{}</pattern>",
                if i == 0 {
                    RECT.to_owned()
                } else {
                    filled(i - 1)
                }
            ))
        ))
    };
    add(
        "patterns-6-to-the-9",
        patterns(9, 6, "patternUnits='userSpaceOnUse'"),
    );
    add("patterns-of-boxes", patterns(9, 6, ""));
    add(
        "patterns-4-to-the-4",
        patterns(4, 4, "patternUnits='userSpaceOnUse'"),
    );
    add(
        "pattern-on-many",
        svg(&format!(
            "<pattern id='p' width='.1' height='.1'>{}</pattern>{}",
            RECT.repeat(100),
            "<rect width='50' height='50' fill='url(#p)' stroke='url(#p)'/>".repeat(2_000)
        )),
    );
    add(
        "patterns-scanned",
        svg(&format!(
            "<g id='big'>{}</g>{}",
            "<g/>".repeat(5_000),
            each(100, |i| format!(
                "<pattern id='q{i}'>{}</pattern>",
                "<g fill='url(#big)'/>".repeat(100)
            ))
        )),
    );
    add(
        "markers-on-all-points",
        svg(&format!(
            "<marker id='m'>{}</marker><path marker-mid='url(#m)' d='M{}'/>",
            RECT.repeat(50),
            "1 1 ".repeat(20_000)
        )),
    );
    let marked = "<path d='M0 0L1 1L2 2L3 3' marker-mid='url(#m{})' marker-start='url(#m{})' marker-end='url(#m{})'/>";
    add(
        "markers-in-markers",
        svg(&format!(
            "{}{}",
            each(12, |i| format!(
                "<marker id='m{i}'>{}</marker>",
                marked.replace("{}", &(i + 1).to_string())
            )),
            marked.replace("{}", "0")
        )),
    );
    let stops = |count: usize| {
        each(count, |i| {
            format!(
                "<stop offset='{}' stop-color='red'/>",
                i as f64 / count as f64
            )
        })
    };
    add(
        "gradient-stops-5000",
        svg(&format!(
            "<linearGradient id='a'>{}</linearGradient>{}",
            stops(5_000),
            "<rect width='99' height='99' fill='url(#a)'/>".repeat(1_000)
        )),
    );
    add(
        "gradient-chain-5000",
        svg(&format!(
            "{}{}",
            each(5_000, |i| format!(
                "<linearGradient id='a{i}' href='#a{}'/>",
                i + 1
            )),
            "<rect width='9' height='9' fill='url(#a0)'/>".repeat(2_000)
        )),
    );
    add(
        "gradients-9000",
        svg(&each(4_500, |i| {
            format!(
                "<linearGradient id='a{i}'><stop/><stop offset='1'/></linearGradient><rect width='1' height='1' fill='url(#a{i})'/>"
            )
        })),
    );
}

fn surfaces(add: Add<'_>) {
    let groups =
        |attributes: &str, count| svg(&nested(&format!("<g {attributes}>"), count, RECT, "</g>"));
    add("opacity-100-deep", groups("opacity='.9'", 100));
    add(
        "opacity-10-deep-beyond",
        svg(&nested(
            "<g opacity='.9' transform='scale(1.5)'>",
            10,
            RECT,
            "</g>",
        )),
    );
    add(
        "blend-100-deep",
        groups("style='mix-blend-mode:multiply;isolation:isolate'", 100),
    );
    add(
        "opacity-far-outside",
        svg(&nested(
            "<g opacity='.9'>",
            20,
            "<rect x='-1000' y='-1000' width='3000' height='3000'/>",
            "</g>",
        )),
    );
    let turned = nested(
        "<g filter='url(#f)' transform='rotate(45)'>",
        20,
        "<rect x='-5000' y='-5000' width='10000' height='10000'/>",
        "</g>",
    );
    add(
        "filters-turned-20-deep",
        svg(&format!("<filter id='f'><feFlood/></filter>{turned}")),
    );
    add(
        "filter-primitives-2000",
        svg(&format!(
            "<filter id='f'>{}</filter><rect width='99' height='99' filter='url(#f)'/>",
            "<feGaussianBlur stdDeviation='5'/>".repeat(2_000)
        )),
    );
    add(
        "filter-merge-5000",
        svg(&format!(
            "<filter id='f'><feMerge>{}</feMerge></filter><rect width='99' height='99' filter='url(#f)'/>",
            "<feMergeNode in='SourceGraphic'/>".repeat(5_000)
        )),
    );
    add(
        "filters-on-2000",
        svg(&format!(
            "<filter id='f'><feGaussianBlur stdDeviation='2'/></filter>{}",
            "<rect width='50' height='50' filter='url(#f)'/>".repeat(2_000)
        )),
    );
    add(
        "filter-functions-1000",
        svg(&format!(
            "<rect width='99' height='99' filter='{}'/>",
            "blur(2px) ".repeat(1_000)
        )),
    );
    let kernel = "1 ".repeat(1_600);
    add(
        "filter-convolve-40",
        svg(&format!(
            "<filter id='f'><feConvolveMatrix order='40' kernelMatrix='{kernel}'/></filter><rect width='99' height='99' filter='url(#f)'/>"
        )),
    );
    add(
        "masks-on-1000",
        svg(&format!(
            "<mask id='m'>{RECT}</mask>{}",
            "<rect width='99' height='99' mask='url(#m)'/>".repeat(1_000)
        )),
    );
    add(
        "mask-chain-50",
        svg(&format!(
            "{}<rect width='99' height='99' mask='url(#m0)'/>",
            each(50, |i| format!(
                "<mask id='m{i}' maskUnits='userSpaceOnUse' width='100' height='100' mask='url(#m{})'>{RECT}</mask>",
                i + 1
            ))
        )),
    );
    add(
        "clip-chain-100",
        svg(&format!(
            "{}<rect width='99' height='99' clip-path='url(#m0)'/>",
            each(100, |i| format!(
                "<clipPath id='m{i}' clip-path='url(#m{})'>{RECT}</clipPath>",
                i + 1
            )) + "<clipPath id='m100'><rect width='9' height='9'/></clipPath>"
        )),
    );
    add(
        "clips-on-5000",
        svg(&format!(
            "<clipPath id='c'>{RECT}</clipPath>{}",
            "<rect width='99' height='99' clip-path='url(#c)'/>".repeat(5_000)
        )),
    );
}

fn paths(add: Add<'_>) {
    add(
        "path-1000000-points",
        svg(&format!("<path d='M{}'/>", "1,1 ".repeat(1_000_000))),
    );
    let crossing = each(12_000, |i| {
        format!("L{} {}", (i * 37) % 100, if i % 2 == 0 { 0 } else { 100 })
    });
    add(
        "path-crossing-lines",
        svg(&format!("<path d='M0 0{crossing}'/>")),
    );
    add(
        "path-crossing-strokes",
        svg(&format!(
            "<path d='M0 0{crossing}' fill='none' stroke='red' stroke-width='30' stroke-linejoin='round'/>"
        )),
    );
    let curves = each(8_000, |i| {
        format!("C{} 0 0 {} {} 50", i % 100, (i * 7) % 100, (i * 13) % 100)
    });
    add(
        "path-curves",
        svg(&format!(
            "<path d='M0 0{curves}' fill-rule='evenodd' stroke='red'/>"
        )),
    );
    let arcs = "a9 9 0 1 1 .1 .1".repeat(14_000);
    add(
        "path-arcs",
        svg(&format!(
            "<path d='M50 50{arcs}' stroke='red' stroke-dasharray='.1'/>"
        )),
    );
    let compact = "a1 1 0 01.5.5".repeat(15_000);
    add(
        "path-compact-arcs",
        svg(&format!("<path d='M50 50{compact}'/>")),
    );
    let many = each(2_000, |i| {
        format!(
            "<path d='M{} 0C0 100 100 0 {} 100' fill='none' stroke='#0a0'/>",
            i % 100,
            (i * 3) % 100
        )
    });
    add("path-2000-curves", svg(&many));
    let dashes = "1 2 ".repeat(20_000);
    add(
        "dash-array-40000",
        svg(&format!(
            "<path d='M0 0H100' stroke='red' stroke-dasharray='{dashes}'/>"
        )),
    );
    add(
        "dashes-19000",
        svg(
            "<path d='M0 0H100V100H0z' fill='none' stroke='red' stroke-width='9' stroke-linecap='round' stroke-dasharray='.01'/>",
        ),
    );
    let tiny = "<path d='M0 0H1e5' stroke='red' stroke-dasharray='1'/>".repeat(2_000);
    add("dashes-off-the-canvas", svg(&tiny));
}

fn styles(add: Add<'_>) {
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

fn texts(add: Add<'_>) {
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

fn images(add: Add<'_>) {
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

fn tags(add: Add<'_>) {
    add("tags-lesser-than", "<".repeat(400_000));
    add("tags-root-again-and-again", "<svg ".repeat(80_000));
    add("tags-comment-never-closed", svg(&"<!--".repeat(90_000)));
    add("tags-cdata-never-closed", svg(&"<![CDATA[".repeat(40_000)));
    add(
        "tags-quote-never-closed",
        svg(&format!("<g a=\"{}", "='".repeat(100_000))),
    );
    add(
        "tags-namespaces",
        svg(&each(9_000, |i| format!("<g xmlns:n{i}='u{i}'/>"))),
    );
    add(
        "tags-namespaces-nested",
        svg(&each(120, |i| {
            format!("<g {}>", each(100, |j| format!("xmlns:n{i}-{j}='u{j}' ")))
        })),
    );
    add(
        "tags-references",
        svg(&format!("<text>{}</text>", "&#65;".repeat(80_000))),
    );
    add(
        "tags-prose",
        format!(
            "{}<svg/>{}",
            "x < y ".repeat(30_000),
            "a > b ".repeat(30_000)
        ),
    );
    add(
        "tags-instructions",
        format!("{}<svg/>", "<?a b?>".repeat(60_000)),
    );
}
