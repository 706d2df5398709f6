//! The names of metrics in a PromQL expression. That it is one, promtool says.

/// Words of the language that stand where a name could.
const WORDS: [&str; 11] = [
    "and",
    "or",
    "unless",
    "by",
    "on",
    "without",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
];
/// After these a list of labels stands in parentheses.
const BEFORE_LABELS: [&str; 6] = [
    "by",
    "on",
    "without",
    "ignoring",
    "group_left",
    "group_right",
];

/// All names that are neither functions, words, labels nor in quotes.
pub(super) fn metrics(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '{' => after(rest, '}'),
            '[' => after(rest, ']'),
            '"' => after(&rest[1..], '"'),
            'a'..='z' | 'A'..='Z' | '_' => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                let next = behind.trim_start();
                if BEFORE_LABELS.contains(&word) && next.starts_with('(') {
                    after(next, ')')
                } else {
                    // `sum(…)`, and `sum by (…) (…)`.
                    let is_function = ["(", "by ", "by(", "without ", "without("];
                    let is_function = is_function.iter().any(|after| next.starts_with(after));
                    if !WORDS.contains(&word) && !is_function {
                        found.push(word.to_owned());
                    }
                    behind
                }
            }
            // A number with its unit.
            '0'..='9' => rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.'),
            _ => &rest[first.len_utf8()..],
        };
    }
    found
}

/// What follows `end`, with what is in quotes left out.
fn after(text: &str, end: char) -> &str {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' if end != '"' => is_quoted = !is_quoted,
            _ if c == end && !is_quoted => return &text[at + c.len_utf8()..],
            _ => {}
        }
    }
    ""
}

#[test]
fn names_are_told_from_functions_words_and_labels() {
    let expression = r#"sum by (le) (rate(a_bucket{x="}b", y=~"c"}[5m])) / on (z) group_left (w) max(d) > 0.5
        and on () (e == bool 1) or vector(0) unless f offset 5m"#;
    assert_eq!(metrics(expression), ["a_bucket", "d", "e", "f"]);
}
