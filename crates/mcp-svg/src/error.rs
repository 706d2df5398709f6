//! What was wrong with a file, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the text that was given, both counted from 1. A column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

impl Position {
    /// The place of byte `offset` of `text`.
    pub(crate) fn of(text: &str, offset: usize) -> Position {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let newlines = before.bytes().filter(|byte| *byte == b'\n').count();
        Position {
            line: saturated(newlines + 1),
            column: saturated(before[start..].chars().count() + 1),
        }
    }

    /// A place counted from the beginning of a part, for a part that begins at `self`.
    pub(crate) fn plus(self, line: u32, column: u32) -> Position {
        let same_line = line <= 1;
        Position {
            line: self.line.saturating_add(line.saturating_sub(1)),
            column: if same_line {
                self.column.saturating_add(column.saturating_sub(1))
            } else {
                column
            },
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Why a text is not taken. Whatever can be taken out safely is taken out and reported instead
/// ([`Removed`](crate::Removed)); these are the rest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SvgError {
    /// The text, or a part of it, is longer than it may be.
    #[error("{what} has {bytes} bytes; at most {limit} are taken")]
    TooLarge {
        /// What is too long.
        what: String,
        /// Its length in bytes.
        bytes: u64,
        /// The most bytes it may have.
        limit: u64,
    },
    /// The bytes are not text in UTF-8.
    #[error("this is {found}; SVG is taken as text in UTF-8 only")]
    NotUtf8 {
        /// What it looks like instead.
        found: String,
    },
    /// There is no `<svg` in the text.
    #[error("there is no <svg> element in the text")]
    NoSvg,
    /// There is more than one.
    #[error("a second <svg> document begins at {at}; send exactly one")]
    SeveralSvgs {
        /// Where the second begins.
        at: Position,
    },
    /// The text ends before the SVG does, as when a model's answer was cut.
    #[error("the text ends inside <{inside}>: the SVG is cut off")]
    CutOff {
        /// The innermost element that is still open.
        inside: String,
    },
    /// A document type with declarations of its own, which is where entities come from.
    #[error("a DOCTYPE with declarations inside begins at {at}; entities are never taken")]
    Doctype {
        /// Where it begins.
        at: Position,
    },
    /// Not well-formed XML.
    #[error("not well-formed XML at {at}: {problem}")]
    Malformed {
        /// Where.
        at: Position,
        /// What is wrong there.
        problem: String,
    },
    /// The outermost element is an `svg` of another namespace.
    #[error("the outermost <svg> is in the namespace {namespace:?}, not in that of SVG")]
    WrongNamespace {
        /// The namespace it is in.
        namespace: String,
    },
    /// Elements lie too deep in each other.
    #[error("elements are nested more than {limit} deep at {at}")]
    TooDeep {
        /// Where the first that is too deep begins.
        at: Position,
        /// The deepest that is taken.
        limit: u32,
    },
    /// There is too much of something that is counted.
    #[error("there are more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: String,
        /// The most that is taken.
        limit: u64,
    },
    /// Width, height or viewBox make no picture.
    #[error("the size of the picture is not usable: {problem}")]
    Size {
        /// Which attribute, and why.
        problem: String,
    },
    /// Elements refer to each other in a circle.
    #[error("the references of element {id:?} lead back to itself")]
    Cycle {
        /// The `id` of an element on the circle, or its name where it has none.
        id: String,
    },
    /// To draw it would cost more than may be spent.
    #[error("drawing it costs too much: {what} comes to {cost}, and {limit} is allowed")]
    OverBudget {
        /// What is too expensive, and its unit.
        what: String,
        /// The estimate, or where counting stopped.
        cost: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// The renderer did not accept it.
    #[error("it cannot be drawn: {problem}")]
    NotDrawn {
        /// The renderer's reason.
        problem: String,
    },
    /// The renderer failed in a way it never should.
    #[error("the renderer failed: {problem}")]
    RendererFailed {
        /// What it said.
        problem: String,
    },
}
