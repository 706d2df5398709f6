//! Selectors: types, classes, ids, attributes and a few pseudo-classes, with the combinators of CSS 2.

/// A selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    /// As it is written.
    pub(crate) text: String,
    /// Its compounds, from the outermost element to the one that is selected.
    pub(crate) parts: Vec<Part>,
}

/// What selects one element. Attributes and pseudo-classes are in the text only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// How the element lies to that of the part before.
    pub(crate) combinator: Combinator,
    pub(crate) name: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) classes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Combinator {
    #[default]
    None,
    Descendant,
    Child,
    Adjacent,
}

impl Selector {
    /// What an element must at least have to be selected.
    pub(crate) fn key(&self) -> Key {
        let Some(last) = self.parts.last() else {
            return Key::Any;
        };
        if let Some(id) = &last.id {
            Key::Id(id.clone())
        } else if let Some(class) = last.classes.first() {
            Key::Class(class.clone())
        } else if let Some(name) = &last.name {
            Key::Type(name.clone())
        } else {
            Key::Any
        }
    }

    /// Descendant combinators: for each of them all ancestors are tried.
    pub(crate) fn descendants(&self) -> u32 {
        let descends = |part: &&Part| part.combinator == Combinator::Descendant;
        u32::try_from(self.parts.iter().filter(descends).count()).unwrap_or(u32::MAX)
    }
}

/// A part of what selects an element.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// Any element.
    Any,
    /// An element by its name.
    Type(String),
    /// An element by a class.
    Class(String),
    /// An element by its id.
    Id(String),
}

const PSEUDO_CLASSES: &[&str] = &[
    "active",
    "empty",
    "first-child",
    "first-of-type",
    "focus",
    "hover",
    "last-child",
    "last-of-type",
    "link",
    "only-child",
    "root",
    "visited",
];

/// The selector in `text`, or nothing where it is of another kind.
pub(crate) fn parse(text: &str) -> Option<Selector> {
    let mut rest = text.trim();
    let mut out = String::with_capacity(rest.len());
    let mut parts = Vec::new();
    let mut combinator = Combinator::None;
    loop {
        let (part, behind) = compound(rest, combinator, &mut out)?;
        parts.push(part);
        rest = behind.trim_start();
        combinator = match rest.chars().next() {
            None => return Some(Selector { text: out, parts }),
            Some('>') => {
                out.push_str(" > ");
                Combinator::Child
            }
            Some('+') => {
                out.push_str(" + ");
                Combinator::Adjacent
            }
            Some(_) if behind.len() > rest.len() => {
                out.push(' ');
                Combinator::Descendant
            }
            Some(_) => return None,
        };
        if combinator != Combinator::Descendant {
            rest = rest[1..].trim_start();
        }
    }
}

/// Reads what selects one element, as in `rect.a#b[c="d"]:hover`.
fn compound<'a>(
    text: &'a str,
    combinator: Combinator,
    out: &mut String,
) -> Option<(Part, &'a str)> {
    let mut part = Part {
        combinator,
        ..Part::default()
    };
    let mut rest = text;
    if let Some(behind) = rest.strip_prefix('*') {
        out.push('*');
        rest = behind;
    } else if let Some((name, behind)) = word(rest) {
        out.push_str(name);
        part.name = Some(name.to_owned());
        rest = behind;
    }
    while let Some(mark) = rest.chars().next() {
        match mark {
            '.' | '#' | ':' => {
                let (name, behind) = word(&rest[1..])?;
                out.push(mark);
                out.push_str(name);
                match mark {
                    '.' => part.classes.push(name.to_owned()),
                    '#' => part.id = Some(name.to_owned()),
                    _ if PSEUDO_CLASSES.contains(&name) => {}
                    _ => return None,
                }
                rest = behind;
            }
            '[' => {
                let (inside, behind) = rest[1..].split_once(']')?;
                attribute(inside, out)?;
                rest = behind;
            }
            _ => break,
        }
    }
    (rest.len() < text.len()).then_some((part, rest))
}

/// Reads the inside of `[name="value"]`.
fn attribute(inside: &str, out: &mut String) -> Option<()> {
    let Some((name, value)) = inside.split_once('=') else {
        let (name, "") = word(inside.trim())? else {
            return None;
        };
        out.push('[');
        out.push_str(name);
        out.push(']');
        return Some(());
    };
    let name = name.trim();
    let (name, operator) = match name.strip_suffix(['~', '|']) {
        Some(shorter) => (shorter.trim_end(), &name[shorter.len()..]),
        None => (name, ""),
    };
    let (name, "") = word(name)? else { return None };
    let value = value.trim();
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .or_else(|| value.strip_prefix('\'')?.strip_suffix('\''))
        .unwrap_or(value);
    let harmless = |c: char| c.is_alphanumeric() || " -_.#%,".contains(c);
    if !value.chars().all(harmless) {
        return None;
    }
    out.push_str(&format!("[{name}{operator}=\"{value}\"]"));
    Some(())
}

/// The name at the beginning of `text`, and what is behind it.
fn word(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_'))
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}
