//! A second opinion on what comes out. It shares nothing with the crate: another parser, and a list of what is forbidden
//! instead of one of what is allowed.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

const SVG: &str = "http://www.w3.org/2000/svg";
const XLINK: &str = "http://www.w3.org/1999/xlink";

const ELEMENTS: &[&str] = &[
    "script",
    "handler",
    "listener",
    "foreignobject",
    "iframe",
    "frame",
    "embed",
    "object",
    "audio",
    "video",
    "canvas",
    "img",
    "source",
    "track",
    "body",
    "html",
    "head",
    "meta",
    "link",
    "base",
    "form",
    "input",
    "feimage",
    "cursor",
    "font",
    "font-face",
    "font-face-uri",
    "color-profile",
    "tref",
    "altglyph",
    "include",
    "discard",
    "math",
];

/// Words that must stand nowhere, once white space, control characters and upper case are taken away.
const WORDS: &[&str] = &[
    "javascript:",
    "vbscript:",
    "livescript:",
    "mocha:",
    "data:text",
    "data:image/svg",
    "data:application",
    "file:",
    "http:",
    "https:",
    "ftp:",
    "expression(",
    "@import",
    "@font-face",
    "-moz-binding",
    "behavior:",
    "image-set(",
    "image(",
    "element(",
    "cross-fade(",
    "src(",
    "attr(",
];

/// What is wrong with a file that should be harmless.
pub(crate) fn complaints(svg: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut reader = Reader::from_str(svg);
    let mut styles = 0;
    let mut depth = 0;
    let mut roots = 0;
    loop {
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                found.push(format!("not well-formed: {error}"));
                return found;
            }
        };
        match event {
            Event::Start(tag) => {
                roots += usize::from(depth == 0);
                depth += 1;
                styles += usize::from(tag.local_name().as_ref().eq_ignore_ascii_case("style"));
                element(&tag, depth == 1, &mut found);
            }
            Event::Empty(tag) => {
                roots += usize::from(depth == 0);
                element(&tag, depth == 0, &mut found);
            }
            Event::End(tag) => {
                depth -= 1;
                styles -= usize::from(tag.local_name().as_ref().eq_ignore_ascii_case("style"));
            }
            Event::Text(text) => {
                let text = (*text).to_owned();
                if text
                    .chars()
                    .any(|c| c.is_control() && !"\t\n\r".contains(c))
                {
                    found.push("a control character".to_owned());
                }
                if styles > 0 {
                    value("a style sheet", &text, &mut found);
                }
            }
            Event::GeneralRef(name) => {
                let name = (*name).to_owned();
                let known = ["lt", "gt", "amp", "quot", "apos", "#9", "#10", "#13"];
                if !known.contains(&name.as_str()) {
                    found.push(format!("the entity {name}"));
                }
            }
            Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {
                found.push(format!(
                    "something that is no element and no text: {event:?}"
                ));
            }
            Event::Eof => break,
        }
    }
    if roots != 1 {
        found.push(format!("{roots} roots"));
    }
    found
}

fn element(tag: &BytesStart<'_>, root: bool, found: &mut Vec<String>) {
    let name = tag.name().as_ref().to_owned();
    if name.contains(':') {
        found.push(format!("a prefix: {name}"));
    }
    if ELEMENTS.contains(&name.to_lowercase().as_str()) {
        found.push(format!("the element {name}"));
    }
    let animation = ["animate", "set"]
        .iter()
        .any(|begin| name.starts_with(begin));
    let mut namespace = false;
    for attribute in tag.attributes() {
        let attribute = match attribute {
            Ok(attribute) => attribute,
            Err(error) => {
                found.push(format!("an attribute: {error}"));
                continue;
            }
        };
        let key = attribute.key.as_ref().to_owned();
        let text = match attribute.normalized_value(XmlVersion::Implicit1_0) {
            Ok(text) => text.into_owned(),
            Err(error) => {
                found.push(format!("the attribute {key}: {error}"));
                continue;
            }
        };
        match key.as_str() {
            "xmlns" => {
                namespace = text == SVG;
                if !root || text != SVG {
                    found.push(format!("the namespace {text}"));
                }
            }
            "xmlns:xlink" if root && text == XLINK => {}
            "xml:space" | "xml:lang" => value(&key, &text, found),
            "href" | "xlink:href" => href(&name, &text, found),
            "requiredFeatures" if text.starts_with("http://www.w3.org/TR/SVG11/feature#") => {}
            "aria-label" | "aria-roledescription" => {}
            "attributeName" if animation => {
                let lower = text.to_lowercase();
                if lower.contains("href")
                    || lower.starts_with("on")
                    || lower.contains("style")
                    || lower.contains("class")
                {
                    found.push(format!("an animation of {text}"));
                }
            }
            _ => {
                let lower = key.to_lowercase();
                let forbidden = [
                    "src",
                    "srcdoc",
                    "base",
                    "ping",
                    "target",
                    "formaction",
                    "cursor",
                    "content",
                ];
                if lower.starts_with("on")
                    || lower.contains(':')
                    || forbidden.contains(&lower.as_str())
                {
                    found.push(format!("the attribute {key}"));
                }
                value(&key, &text, found);
            }
        }
    }
    if root && !namespace {
        found.push("no namespace".to_owned());
    }
}

fn href(element: &str, text: &str, found: &mut Vec<String>) {
    let image = ["png", "jpeg", "gif", "webp"]
        .iter()
        .any(|kind| text.starts_with(&format!("data:image/{kind};base64,")));
    let plain = |rest: &str| {
        rest.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
    };
    let embedded = image && element == "image" && text.split(',').nth(1).is_some_and(plain);
    if !(embedded || (text.starts_with('#') && text.len() > 1))
        || element == "a"
        || element == "script"
    {
        found.push(format!(
            "a reference in {element}: {}",
            text.chars().take(60).collect::<String>()
        ));
    }
}

/// Looks through a value as a careless parser would: escapes, case, white space and comments aside.
fn value(place: &str, text: &str, found: &mut Vec<String>) {
    if text.contains(['\\', '<', '\u{0}'])
        || text
            .chars()
            .any(|c| c.is_control() && !"\t\n\r".contains(c))
    {
        found.push(format!("a suspicious character in {place}: {text:?}"));
    }
    let squeezed: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .flat_map(char::to_lowercase)
        .collect();
    for word in WORDS {
        if squeezed.contains(word) {
            found.push(format!("{word:?} in {place}"));
        }
    }
    for rest in squeezed.split("url(").skip(1) {
        if !rest.trim_start_matches(['"', '\'']).starts_with('#') {
            found.push(format!(
                "a URL in {place}: {}",
                rest.chars().take(60).collect::<String>()
            ));
        }
    }
    if squeezed.contains("//") || squeezed.contains("/*") {
        found.push(format!("two slashes or a comment in {place}"));
    }
}

#[test]
fn the_checker_finds_what_it_is_for() {
    let around = |inside: &str| format!("<svg xmlns=\"{SVG}\">{inside}</svg>");
    assert_eq!(complaints(&around("<g id=\"a\"/>")), Vec::<String>::new());
    for bad in [
        "<script/>",
        "<x:g xmlns:x=\"u\"/>",
        "<g onload=\"a\"/>",
        "<g fill=\"url(http://x)\"/>",
        "<g fill=\"u&#x72;l(x#a)\"/>",
        "<g fill=\"java&#10;script:a\"/>",
        "<g style=\"fill:\\75rl(#a)\"/>",
        "<style>@import 'x'</style>",
        "<a href=\"#a\"/>",
        "<use href=\"x.svg#a\"/>",
        "<image href=\"data:image/svg+xml;base64,AA\"/>",
        "<set attributeName=\"href\"/>",
        "<!-- c -->",
        "<?pi x?>",
        "<text>&x;</text>",
        "<g xml:base=\"x\"/>",
        "<g><h></g>",
    ] {
        assert_ne!(complaints(&around(bad)), Vec::<String>::new(), "{bad}");
    }
}
