//! What is wrong with a document: all of it together, each with its place.

use std::fmt;

use mcp_core::text::bounded;
use serde::Serialize;

/// So many are kept; of the rest only the number is.
const KEPT: usize = 32;
/// Longest pointer and message, in bytes: names and values in them come from outside.
const POINTER_MAX: usize = 200;
const MESSAGE_MAX: usize = 300;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// Where: a JSON Pointer (RFC 6901) into `{"server": …, "tools": […]}`.
    pub pointer: String,
    /// Which rule; the crate's README lists them.
    pub rule: &'static str,
    /// What is wrong and what is allowed, for people.
    pub message: String,
}

/// All that is wrong with a document; the first 32 of it, and how many more there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Issues {
    kept: Vec<Issue>,
    more: usize,
}

impl Issues {
    /// Those that are kept, in the order in which they were found.
    pub fn kept(&self) -> &[Issue] {
        &self.kept
    }

    /// How many others there are.
    pub fn more(&self) -> usize {
        self.more
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn is_full(&self) -> bool {
        self.kept.len() == KEPT
    }

    pub(crate) fn add(&mut self, place: &Place<'_>, rule: &'static str, message: impl AsRef<str>) {
        if self.is_full() {
            // Written out, the places of all would be many times the document.
            self.more += 1;
            return;
        }
        self.add_at(&place.to_string(), rule, message.as_ref());
    }

    pub(crate) fn add_at(&mut self, pointer: &str, rule: &'static str, message: &str) {
        if self.is_full() {
            self.more += 1;
            return;
        }
        self.kept.push(Issue {
            pointer: bounded(pointer, POINTER_MAX),
            rule,
            message: bounded(message, MESSAGE_MAX),
        });
    }
}

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.kept.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            write!(f, "{between}{}: {}", issue.pointer, issue.message)?;
        }
        if self.more > 0 {
            write!(f, "; and {} more", self.more)?;
        }
        Ok(())
    }
}

/// A place in the document, written as a JSON Pointer only when it is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    /// A field of the whole.
    pub(crate) fn top(name: &'a str) -> Self {
        Self {
            parent: None,
            step: Step::Field(name),
        }
    }

    /// A field of what is here.
    pub(crate) fn field(&'a self, name: &'a str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    /// An element of the array here.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Index(index),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Field(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => write!(f, "/{index}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Issues, KEPT, Place};

    #[test]
    fn a_place_is_a_json_pointer() {
        let server = Place::top("server");
        let meta = server.field("_meta");
        let name = meta.field("a/b~c");
        assert_eq!(name.index(3).to_string(), "/server/_meta/a~1b~0c/3");
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_rest_is_counted() {
        let mut issues = Issues::default();
        for _ in 0..KEPT + 5 {
            issues.add(&Place::top("server"), "rule", "x".repeat(10_000));
        }
        assert_eq!((issues.kept().len(), issues.more()), (KEPT, 5));
        assert!(issues.kept()[0].message.len() < 400);
        assert!(issues.to_string().ends_with("; and 5 more"));
    }
}
