//! The small grammar that a value must have, whether it stands in an attribute or in a style.
//!
//! Words, numbers, quoted names, and calls of functions that are known to fetch and run nothing. `url()` may name an element
//! of the same file and nothing else. No escapes, no comments, no colons: with them go `javascript:`, `\75rl(` and their kind.

/// Functions that compute a colour, a length, a transform or a filter, and do nothing else.
const FUNCTIONS: &[&str] = &[
    "blur",
    "brightness",
    "calc",
    "circle",
    "clamp",
    "color",
    "color-mix",
    "contrast",
    "cubic-bezier",
    "drop-shadow",
    "ellipse",
    "grayscale",
    "hsl",
    "hsla",
    "hue-rotate",
    "hwb",
    "icc-color",
    "inset",
    "invert",
    "lab",
    "lch",
    "light-dark",
    "matrix",
    "max",
    "min",
    "oklab",
    "oklch",
    "opacity",
    "polygon",
    "rect",
    "rgb",
    "rgba",
    "rotate",
    "saturate",
    "scale",
    "scalex",
    "scaley",
    "sepia",
    "skew",
    "skewx",
    "skewy",
    "translate",
    "translatex",
    "translatey",
    "var",
];

/// Calls inside each other: `drop-shadow(… rgb(…))` has two.
const DEEPEST_CALL: u32 = 4;

/// `value` with its white space collapsed and its references written as `url(#id)`, or nothing where it does not follow the
/// grammar.
pub(crate) fn cleaned(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    let mut calls = 0_u32;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            ' ' | '\t' | '\n' | '\r' | '\u{c}' => {
                if !out.is_empty() && !out.ends_with(' ') {
                    out.push(' ');
                }
                rest = after;
            }
            '"' | '\'' => {
                let end = after.find(c)?;
                let quoted = &after[..end];
                if !quoted.chars().all(quotable) {
                    return None;
                }
                out.push(c);
                out.push_str(quoted);
                out.push(c);
                rest = &after[end + 1..];
            }
            '(' => {
                let name = word_at_the_end(&out).to_ascii_lowercase();
                if name == "url" {
                    let (id, behind) = reference(after)?;
                    out.truncate(out.len() - "url".len());
                    out.push_str("url(#");
                    out.push_str(id);
                    out.push(')');
                    rest = behind;
                } else if FUNCTIONS.contains(&name.as_str()) && calls < DEEPEST_CALL {
                    calls += 1;
                    out.push('(');
                    rest = after;
                } else {
                    return None;
                }
            }
            ')' => {
                calls = calls.checked_sub(1)?;
                out.push(')');
                rest = after;
            }
            '/' if after.starts_with(['*', '/']) => return None,
            c if plain(c) => {
                out.push(c);
                rest = after;
            }
            _ => return None,
        }
    }
    let trimmed = out.trim_end().len();
    out.truncate(trimmed);
    (calls == 0).then_some(out)
}

/// A list of values with semicolons between, as animations have it.
pub(crate) fn cleaned_list(value: &str) -> Option<String> {
    let parts: Option<Vec<String>> = value.split(';').map(cleaned).collect();
    Some(parts?.join(";"))
}

/// The ids that a value in this grammar refers to.
pub(crate) fn references(value: &str) -> impl Iterator<Item = &str> {
    value
        .split("url(#")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
}

/// Whether `id` can be the name of an element: without what would need quoting in a reference.
pub(crate) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 256 && id.chars().all(identifying)
}

/// The id in the rest of `url(` up to its `)`, and what is behind that.
fn reference(rest: &str) -> Option<(&str, &str)> {
    let (inside, behind) = rest.split_once(')')?;
    let inside = inside.trim_matches([' ', '\t', '\n', '\r']);
    let inside = match inside.as_bytes() {
        [quote @ (b'"' | b'\''), .., last] if quote == last && inside.len() > 2 => {
            inside[1..inside.len() - 1].trim_matches(' ')
        }
        _ => inside,
    };
    let id = inside.strip_prefix('#')?;
    is_id(id).then_some((id, behind))
}

fn word_at_the_end(text: &str) -> &str {
    let start = text
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .map_or(0, |at| {
            at + text[at..].chars().next().map_or(1, char::len_utf8)
        });
    &text[start..]
}

fn plain(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || ".,#%+-*/_".contains(c)
    } else {
        c.is_alphanumeric()
    }
}

fn quotable(c: char) -> bool {
    plain(c) || c == ' ' || c == '\''
}

/// What an id may consist of.
fn identifying(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_graphic() && !"\"'()<>&\\{}`;#".contains(c)
    } else {
        c.is_alphanumeric()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stays(value: &str) {
        assert_eq!(cleaned(value).as_deref(), Some(value));
    }

    #[test]
    fn what_pictures_are_made_of_passes() {
        for value in [
            "none",
            "#fff",
            "M10-.5L1e3,4z",
            "rotate(-45 10 10) translate(5,5)",
            "rgb(10%, 20%, 30%)",
            "url(#a) none",
            "drop-shadow(0 0 2px rgba(0, 0, 0, .3))",
            "'Open Sans', \"Noto Sans\", sans-serif",
            "微软雅黑",
            "12px/1.5 Arial",
        ] {
            stays(value);
        }
    }

    #[test]
    fn references_are_written_in_one_way() {
        for value in ["url('#a')", "URL( \"#a\" )", "url(#a)", " url(\n#a\n)"] {
            assert_eq!(cleaned(value).as_deref(), Some("url(#a)"), "{value}");
        }
        let ids: Vec<_> = references("url(#a) blur(2px) url(#b)").collect();
        assert_eq!(ids, ["a", "b"]);
    }

    #[test]
    fn what_fetches_or_runs_does_not_pass() {
        for value in [
            "url(http://example.com/a.svg#b)",
            "url(data:image/png;base64,AAAA)",
            "url(a.svg#b)",
            "url()",
            "url(#)",
            "url(#a",
            "\\75rl(#a)",
            "u\\rl(#a)",
            "url (#a)",
            "image(#a)",
            "image-set(\"a.png\" 1x)",
            "-moz-element(#a)",
            "expression(alert(1))",
            "javascript:alert(1)",
            "red;fill:url(//x)",
            "red/**/",
            "attr(href)",
            "env(x)",
            "\"unfinished",
            "'http://x'",
            "red}",
            "a\u{0}b",
            "rgb(1,2,3",
            "rgb(1))",
            "\u{ff55}rl(//x)",
        ] {
            assert_eq!(cleaned(value), None, "{value}");
        }
    }
}
