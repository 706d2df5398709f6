//! What is cheap to write and dear to draw: surfaces and paths.

use super::{Add, RECT, each, nested, svg};

pub(super) fn surfaces(add: Add<'_>) {
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

pub(super) fn paths(add: Add<'_>) {
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
