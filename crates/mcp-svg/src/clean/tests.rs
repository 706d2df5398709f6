use super::*;

fn cleaned(inside: &str) -> CleanSvg {
    let text =
        format!("<svg xmlns='{SVG}' xmlns:xlink='{XLINK}' width='10' height='10'>{inside}</svg>");
    clean(&text, &Limits::default()).expect("it is clean")
}

fn inside(inside: &str) -> String {
    let svg = cleaned(inside).svg;
    let (_, rest) = svg.split_once(" height=\"10\"").expect("the root");
    rest.to_owned()
}

fn removed(text: &str) -> Vec<String> {
    let lines = cleaned(text).removed;
    lines.into_iter().map(|line| line.what).collect()
}

#[test]
fn what_is_allowed_is_written_anew() {
    assert_eq!(
        inside("<g  id = 'a' ><rect x='1'\n y='&#50;'/></g>"),
        ">\n <g id=\"a\">\n  <rect x=\"1\" y=\"2\"/>\n </g>\n</svg>"
    );
    assert_eq!(
        inside("<text> a <tspan>b</tspan><![CDATA[<c>]]> </text>"),
        ">\n <text> a <tspan>b</tspan>&lt;c&gt; </text>\n</svg>"
    );
}

#[test]
fn what_is_not_allowed_goes_and_is_named() {
    for (svg, what) in [
        ("<script>alert(1)</script>", "element script"),
        ("<g onload='a()'/>", "attribute onload"),
        (
            "<foreignObject><p xmlns='x'/></foreignObject>",
            "element foreignObject",
        ),
        ("<a href='javascript:a()'/>", "link"),
        (
            "<use href='http://x/y.svg#z'/>",
            "reference out of the file in element use",
        ),
        (
            "<image href='/etc/passwd'/>",
            "image that is not an embedded PNG, JPEG, GIF or WebP",
        ),
        (
            "<h:p xmlns:h='http://www.w3.org/1999/xhtml'/>",
            "element of another vocabulary than SVG",
        ),
        ("<g style='behavior:url(#x)'/>", "style property behavior"),
        ("<style>@import 'x';</style>", "style rule @import"),
        (
            "<set attributeName='href' to='x'/>",
            "unsafe or unknown value of attribute attributeName",
        ),
        ("<g xml:base='http://x/'/>", "attribute xml:base"),
        ("<?xml-stylesheet href='x'?>", "processing instruction"),
    ] {
        assert_eq!(
            removed(svg).first().map(String::as_str),
            Some(what),
            "{svg}"
        );
    }
}

#[test]
fn a_missing_namespace_is_added() {
    let svg = clean("<svg viewBox='0 0 2 1'><g/></svg>", &Limits::default()).expect("clean");
    assert!(
        svg.svg
            .starts_with(&format!("<svg xmlns=\"{SVG}\" viewBox="))
    );
    assert_eq!((svg.width, svg.height), (2.0, 1.0));
}

#[test]
fn another_namespace_is_refused() {
    let text = "<svg xmlns='http://www.w3.org/1999/xhtml'/>";
    assert!(matches!(
        clean(text, &Limits::default()),
        Err(SvgError::WrongNamespace { .. })
    ));
}

#[test]
fn sizes_have_units_and_bounds() {
    let size = |attributes: &str| {
        clean(&format!("<svg {attributes}/>"), &Limits::default())
            .map(|svg| (svg.width, svg.height))
    };
    assert_eq!(size(""), Ok((300.0, 150.0)));
    assert_eq!(size("width='1in' height='72pt'"), Ok((96.0, 96.0)));
    assert_eq!(size("width='2em' height='1e1'"), Ok((24.0, 10.0)));
    assert_eq!(size("width='100%' viewBox='0 0 4 3'"), Ok((4.0, 3.0)));
    assert_eq!(size("width='8' viewBox='0 0 4 3'"), Ok((8.0, 6.0)));
    for bad in [
        "width='0'",
        "width='-1'",
        "width='NaN'",
        "width='inf'",
        "width='1e9'",
        "width='1e400'",
        "width='5parsec'",
        "viewBox='0 0 0 1'",
        "viewBox='0 0 NaN 1'",
        "viewBox='0 0 1'",
        "viewBox='0 0 1e300 1'",
        "width='1' height='5000'",
    ] {
        assert!(matches!(size(bad), Err(SvgError::Size { .. })), "{bad}");
    }
}

#[test]
fn errors_say_where_in_the_given_text() {
    let text = "Here:\n<svg>\n <g a='&nbsp;'/></svg>";
    let Err(SvgError::Malformed { at, .. }) = clean(text, &Limits::default()) else {
        panic!("it is not well-formed");
    };
    assert_eq!(at.line, 3);
}

#[test]
fn title_and_description_are_read() {
    let svg = cleaned("<title> A\n b </title><desc>c</desc><title>d</title>");
    assert_eq!(svg.title.as_deref(), Some("A b"));
    assert_eq!(svg.desc.as_deref(), Some("c"));
}

#[test]
fn a_forgotten_declaration_of_xlink_is_made_good() {
    let text = "<svg viewBox='0 0 2 1'><use xlink:href='#a'/></svg>";
    let svg = clean(text, &Limits::default()).expect("clean").svg;
    assert!(svg.contains(&format!("xmlns:xlink=\"{XLINK}\"")));
    assert!(svg.contains("<use xlink:href=\"#a\"/>"));
}
