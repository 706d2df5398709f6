//! Styles: what is understood of them is written anew, the rest is dropped.
//!
//! No at-rules, no escapes, properties by allowlist, values by the grammar of [`value`](crate::value), and selectors of the
//! simple kind. What is dropped is noted.

mod property;
pub(crate) mod selector;

use crate::{removed::Account, value};
use selector::Selector;

/// A property with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) important: bool,
}

/// A rule of a style sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) selectors: Vec<Selector>,
    pub(crate) declarations: Vec<Declaration>,
}

/// Declarations in one block. Drawing programs write up to a hundred; the renderer needs the square of their number.
const MOST_DECLARATIONS: usize = 256;

/// The declarations of a `style` attribute or of a rule.
pub(crate) fn declarations(text: &str, account: &mut Account) -> Vec<Declaration> {
    let text = without_comments(text);
    let mut parts = split_outside(&text, ';').filter(|part| !part.trim().is_empty());
    let declarations = parts
        .by_ref()
        .take(MOST_DECLARATIONS)
        .filter_map(|part| declaration(part, account))
        .collect();
    if parts.next().is_some() {
        account.note("declarations of a style beyond 256");
    }
    declarations
}

fn declaration(text: &str, account: &mut Account) -> Option<Declaration> {
    let Some((name, value)) = text.split_once(':') else {
        account.note("style that is not understood");
        return None;
    };
    let name = name.trim();
    if !property::is_allowed(name) {
        account.note_named("style property", name);
        return None;
    }
    let (value, important) = match value.trim_end().strip_suffix("important") {
        Some(before) => match before.trim_end().strip_suffix('!') {
            Some(value) => (value, true),
            None => (value, false),
        },
        None => (value, false),
    };
    match value::cleaned(value) {
        Some(value) if !value.is_empty() => Some(Declaration {
            name: name.to_owned(),
            value,
            important,
        }),
        _ => {
            account.note_named("unsafe or unknown value of style property", name);
            None
        }
    }
}

/// The rules of a style sheet.
pub(crate) fn sheet(text: &str, account: &mut Account) -> Vec<Rule> {
    let text = without_comments(text);
    let mut rules = Vec::new();
    let mut rest = text.as_str();
    loop {
        rest = rest.trim_start();
        rest = rest
            .strip_prefix("<!--")
            .or_else(|| rest.strip_prefix("-->"))
            .unwrap_or(rest);
        if rest.trim().is_empty() {
            return rules;
        }
        if let Some(behind) = rest.strip_prefix('@') {
            let end = behind
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
                .unwrap_or(behind.len());
            account.note_named("style rule", &format!("@{}", &behind[..end]));
            rest = behind_at_rule(behind);
            continue;
        }
        let Some(open) = find_outside(rest, &['{']) else {
            account.note("style that is not understood");
            return rules;
        };
        let (head, block) = (&rest[..open], &rest[open + 1..]);
        let (body, behind) = split_block(block);
        rest = behind;
        if let Some(rule) = rule(head, body, account) {
            rules.push(rule);
        }
    }
}

fn rule(head: &str, body: &str, account: &mut Account) -> Option<Rule> {
    if find_outside(body, &['{', '}']).is_some() {
        account.note("nested style rules");
        return None;
    }
    let mut selectors = Vec::new();
    for part in split_outside(head, ',') {
        match selector::parse(part) {
            Some(selector) => selectors.push(selector),
            None => account.note("style selector that is not understood"),
        }
    }
    let declarations = declarations(body, account);
    (!selectors.is_empty() && !declarations.is_empty()).then_some(Rule {
        selectors,
        declarations,
    })
}

/// A style as it is written into a `style` attribute.
pub(crate) fn write_declarations(declarations: &[Declaration]) -> String {
    let mut out = String::new();
    for Declaration {
        name,
        value,
        important,
    } in declarations
    {
        if !out.is_empty() {
            out.push(';');
        }
        out.push_str(name);
        out.push(':');
        out.push_str(value);
        if *important {
            out.push_str(" !important");
        }
    }
    out
}

/// A style sheet, a line a rule.
pub(crate) fn write_sheet(rules: &[Rule]) -> String {
    let mut out = String::new();
    for rule in rules {
        if !out.is_empty() {
            out.push('\n');
        }
        for (i, selector) in rule.selectors.iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            out.push_str(&selector.text);
        }
        out.push_str(" { ");
        out.push_str(&write_declarations(&rule.declarations));
        out.push_str(" }");
    }
    out
}

/// `text` with a space for each comment, so that no two halves of a word meet.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        match (quote, c) {
            (None, '/') if rest.starts_with("/*") => {
                out.push(' ');
                rest = rest[2..].split_once("*/").map_or("", |(_, behind)| behind);
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(mark), c) if mark == c => quote = None,
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// Where the first of `marks` is that stands in no quotes and no parentheses.
fn find_outside(text: &str, marks: &[char]) -> Option<usize> {
    let mut quote = None;
    let mut calls = 0_usize;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(mark), c) if mark == c => quote = None,
            (Some(_), _) => {}
            (None, c) if calls == 0 && marks.contains(&c) => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (None, '(') => calls += 1,
            (None, ')') => calls = calls.saturating_sub(1),
            (None, _) => {}
        }
    }
    None
}

fn split_outside(text: &str, mark: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match find_outside(text, &[mark]) {
            Some(at) => {
                rest = Some(&text[at + mark.len_utf8()..]);
                Some(&text[..at])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}

/// A block's inside and what is behind its `}`, from behind its `{`. Blocks in it belong to it.
fn split_block(text: &str) -> (&str, &str) {
    let mut open = 1_usize;
    let mut from = 0;
    while let Some(offset) = find_outside(&text[from..], &['{', '}']) {
        let at = from + offset;
        from = at + 1;
        if text.as_bytes()[at] == b'{' {
            open += 1;
        } else {
            open -= 1;
        }
        if open == 0 {
            return (&text[..at], &text[from..]);
        }
    }
    (text, "")
}

fn behind_at_rule(text: &str) -> &str {
    match find_outside(text, &[';', '{']) {
        Some(at) if text.as_bytes()[at] == b'{' => split_block(&text[at + 1..]).1,
        Some(at) => &text[at + 1..],
        None => "",
    }
}

#[cfg(test)]
mod tests;
