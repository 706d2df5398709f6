use super::*;
use crate::{CleanSvg, clean};

fn counted(inside: &str) -> Result<Need, SvgError> {
    let limits = Limits::default();
    let text = format!("<svg xmlns='http://www.w3.org/2000/svg'>{inside}</svg>");
    let CleanSvg { svg, .. } = clean(&text, &limits)?;
    let document = Document::parse(&svg).expect("it is well-formed");
    count(&document, &limits)
}

#[test]
fn uses_of_uses_multiply() {
    let mut svg = String::from("<defs><rect id='u0' width='1' height='1'/>");
    for level in 1..=20 {
        let below = level - 1;
        svg += &format!("<g id='u{level}'><use href='#u{below}'/><use href='#u{below}'/></g>");
    }
    svg += "</defs>";
    assert!(matches!(counted(&svg), Err(SvgError::OverBudget { .. })));
}

#[test]
fn a_circle_is_found_over_whatever_way() {
    for svg in [
        "<g id='a'><use href='#a'/></g>",
        "<g id='a'><use href='#b'/></g><g id='b'><use href='#a'/></g>",
        "<pattern id='a'><rect fill='url(#a)' width='1' height='1'/></pattern>",
        "<pattern id='a'><g style='stroke:url(#b)'/></pattern><pattern id='b'><g fill='url(#a)'/></pattern>",
        "<mask id='a'><g mask='url(#a)'/></mask>",
        "<clipPath id='a' clip-path='url(#a)'/>",
        "<linearGradient id='a' href='#b'/><linearGradient id='b' href='#a'/>",
        "<style>rect { fill: url(#a) }</style><pattern id='a'><rect/></pattern>",
        "<g fill='url(#a)'><pattern id='a'><rect width='1' height='1'/></pattern><rect width='1' height='1'/></g>",
        "<marker id='a'><path d='M0 0' marker-end='url(#a)'/></marker>",
    ] {
        assert!(matches!(counted(svg), Err(SvgError::Cycle { .. })), "{svg}");
    }
}

#[test]
fn a_rule_that_does_not_select_makes_no_circle() {
    let svg = "<style>.bars rect { fill: url(#a) }</style><pattern id='a'><rect/></pattern><g class='bars'><rect/></g>";
    assert!(counted(svg).is_ok());
}

#[test]
fn selectors_that_try_all_ways_up_are_refused() {
    let svg = format!(
        "<style>x {}g {{ fill: red }}</style>{}{}",
        "g ".repeat(12),
        "<g>".repeat(100),
        "</g>".repeat(100)
    );
    assert!(matches!(counted(&svg), Err(SvgError::OverBudget { .. })));
}

#[test]
fn a_marker_counts_for_every_point() {
    let svg = |marked: &str| {
        format!(
            "<marker id='m'><circle r='1'/></marker><path {marked} d='M{}'/>",
            "1 2 ".repeat(100)
        )
    };
    let plain = counted(&svg("")).expect("it is small").bytes;
    let marked = counted(&svg("marker-mid='url(#m)'"))
        .expect("it is small")
        .bytes;
    assert!(marked > plain + 100 * ELEMENT);
}
