use proptest::prelude::*;
use resvg::usvg::roxmltree::Document;

use super::*;

fn cut(text: &str) -> Result<&str, SvgError> {
    find(text, &Limits::default()).map(|found| &text[found.range])
}

#[test]
fn the_svg_is_found_between_words_and_fences() {
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><g/></svg>";
    for around in [
        "{}",
        "\u{feff}{}\n",
        "```svg\n{}\n```",
        "Here it is, with 3 < 4:\n\n```xml\n<?xml version=\"1.0\"?>\n{}\n```\nEnjoy!",
        "<html><body>{}</body></html>",
        "<!-- a > b --><!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"svg11.dtd\">{}",
    ] {
        assert_eq!(cut(&around.replace("{}", svg)), Ok(svg), "{around}");
    }
}

#[test]
fn a_prefix_does_not_hide_the_root() {
    assert_eq!(cut("x <s:svg xmlns:s='u'/> y"), Ok("<s:svg xmlns:s='u'/>"));
}

#[test]
fn a_tag_in_a_comment_or_an_attribute_is_none() {
    let svg = "<svg a='>' b=\"</svg>\"><!-- </svg> --><![CDATA[</svg>]]></svg>";
    assert_eq!(cut(svg), Ok(svg));
}

#[test]
fn what_must_not_be_parsed_is_refused_with_its_place() {
    let at = |line, column| Position { line, column };
    assert_eq!(cut("no picture"), Err(SvgError::NoSvg));
    assert_eq!(
        cut("<svg/>\n<svg/>"),
        Err(SvgError::SeveralSvgs { at: at(2, 1) })
    );
    assert_eq!(
        cut("\n <!doctype svg [<!ENTITY a 'b'>]><svg/>"),
        Err(SvgError::Doctype { at: at(2, 2) })
    );
    assert_eq!(
        cut("<svg><g><path d='M0"),
        Err(SvgError::CutOff {
            inside: "path".into()
        })
    );
    let deep = format!("<svg>{}", "<g>".repeat(128));
    assert_eq!(
        cut(&deep),
        Err(SvgError::TooDeep {
            at: at(1, 5 + 127 * 3 + 1),
            limit: 128
        })
    );
}

#[test]
fn tags_must_match() {
    assert!(matches!(
        cut("<svg><g></svg></g>"),
        Err(SvgError::Malformed { .. })
    ));
}

proptest! {
    #[test]
    fn no_parser_finds_more_depth_than_the_scan(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "<g>", "</g>", "<g/>", "<g a='>'>", "<g a=\"'/>\">", "<!-- <g> -->", "<![CDATA[<g>]]>", "<?a <g> ?>", "x",
                "<a:g xmlns:a='u'>", "</a:g>", "<g\n/>", "<g a='b'/ >", "<g a = '/' >", "</g >", "<svg>", "</svg>", "'", "\"", ">",
            ]),
            0..40,
        )
    ) {
        let limits = Limits { depth: 5, ..Limits::default() };
        let text = format!("<svg>{}</svg>", pieces.concat());
        if let (Ok(found), Ok(document)) = (find(&text, &limits), Document::parse(&text)) {
            prop_assert_eq!(found.range, 0..text.len());
            let depth = |node: resvg::usvg::roxmltree::Node<'_, '_>| node.ancestors().count() - 1;
            let elements = document.descendants().filter(|node| node.is_element());
            let deepest = elements.map(depth).max().unwrap_or_default();
            prop_assert!(deepest <= 5, "{}", deepest);
        }
    }
}
