//! Random damage to all files: nothing panics, and whatever comes out is harmless and stays as it is.

use std::sync::LazyLock;

use mcp_svg::{Limits, SvgError, clean, process};
use proptest::{prelude::*, sample::Index};

use crate::{checker::complaints, corpus, folder};

static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let all = corpus::files(&folder("hostile"))
        .into_iter()
        .chain(corpus::files(&folder("ordinary")));
    all.map(|case| case.bytes)
        .filter(|bytes| bytes.len() < 8_000)
        .collect()
});

/// Pieces that mean something to one parser or another.
const PIECES: &[&str] = &[
    "<",
    ">",
    "/>",
    "</",
    "\"",
    "'",
    "&",
    "&#",
    ";",
    "&#x6a;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?",
    "?>",
    "<!DOCTYPE",
    " xmlns=\"",
    " xmlns:x=\"http://www.w3.org/2000/svg\"",
    "x:",
    "<svg ",
    "</svg>",
    "<script>",
    "</script>",
    " onload=\"",
    " href=\"",
    " xlink:href=\"",
    "javascript:",
    "data:image/png;base64,",
    "url(",
    "url(#a)",
    "#",
    "\\",
    "/*",
    "*/",
    "@import",
    "{",
    "}",
    "style=\"",
    "<style>",
    "</style>",
    "<text>",
    "<use href=\"#a\"/>",
    " id=\"a\"",
    "1e9",
    "-1",
    "NaN",
    "\u{0}",
    "\u{feff}",
    "\u{202e}",
    "\t",
    "\n",
    "é",
    "😀",
    "<g>",
    "</g>",
    "<a>",
    "<tspan> ",
    " mask=\"url(#a)\"",
    " filter=\"url(#a)\"",
    " transform=\"scale(1e5)\"",
    "%",
    "e",
    ".",
    " stroke=\"red\"",
];

#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    Piece(Index, Index),
    Cut(Index, u16),
    Repeat(Index, u16, u8),
    Splice(Index, Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (place(), place()).prop_map(|(at, piece)| Damage::Piece(at, piece)),
        (place(), 1..200_u16).prop_map(|(at, length)| Damage::Cut(at, length)),
        (place(), 1..200_u16, 1..20_u8)
            .prop_map(|(at, length, times)| Damage::Repeat(at, length, times)),
        (place(), place(), place()).prop_map(|(at, file, from)| Damage::Splice(at, file, from)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let length = bytes.len() + 1;
        match damage {
            Damage::Byte(at, byte) => {
                let at = at.index(length);
                if let Some(old) = bytes.get_mut(at) {
                    *old = *byte;
                }
            }
            Damage::Piece(at, piece) => {
                let at = at.index(length);
                bytes.splice(at..at, piece.get(PIECES).bytes());
            }
            Damage::Cut(at, cut) => {
                let at = at.index(length);
                let end = (at + usize::from(*cut)).min(bytes.len());
                bytes.drain(at..end);
            }
            Damage::Repeat(at, part, times) => {
                let at = at.index(length);
                let end = (at + usize::from(*part)).min(bytes.len());
                let again = bytes[at..end].repeat(usize::from(*times));
                bytes.splice(at..at, again);
            }
            Damage::Splice(at, file, from) => {
                let at = at.index(length);
                let other = file.get(&FILES);
                let from = from.index(other.len() + 1);
                let end = (from + 300).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_out_is_harmless(
        file in any::<Index>(),
        damages in prop::collection::vec(damage(), 0..6),
    ) {
        let limits = Limits { preview_side: 32, ..Limits::default() };
        let bytes = damaged(file.get(&FILES).clone(), &damages);
        match process(&bytes, &limits) {
            Ok(processed) => prop_assert_eq!(complaints(&processed.svg.svg), Vec::<String>::new()),
            Err(SvgError::RendererFailed { problem }) => prop_assert!(false, "the renderer panicked: {}", problem),
            Err(_) => {}
        }
        // What cannot be drawn may still have been cleaned.
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(()) };
        if let Ok(once) = clean(text, &limits) {
            prop_assert_eq!(complaints(&once.svg), Vec::<String>::new());
            let again = clean(&once.svg, &limits).expect("what is clean stays clean");
            prop_assert_eq!(&again.svg, &once.svg);
            prop_assert_eq!(again.removed, vec![]);
            prop_assert_eq!((again.title, again.desc), (once.title, once.desc));
            prop_assert_eq!((again.width, again.height), (once.width, once.height));
        }
    }

    #[test]
    fn no_text_whatever_is_a_way_through(text in ".{0,300}") {
        let inside = format!("<svg viewBox='0 0 9 9'><style>{text}</style><g style=\"{text}\" fill=\"{text}\" id=\"{text}\"/>{text}</svg>");
        for text in [&text, &inside] {
            if let Ok(once) = clean(text, &Limits::default()) {
                prop_assert_eq!(complaints(&once.svg), Vec::<String>::new());
            }
        }
    }
}
