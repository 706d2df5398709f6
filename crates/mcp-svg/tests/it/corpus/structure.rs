//! How elements lie in each other and refer to each other, how many they are, and text that is hardly XML.

use super::{Add, RECT, each, nested, svg};

pub(super) fn nesting(add: Add<'_>) {
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

pub(super) fn amounts(add: Add<'_>) {
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

pub(super) fn references(add: Add<'_>) {
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

pub(super) fn tags(add: Add<'_>) {
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
