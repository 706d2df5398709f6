//! A look at the text before it is parsed: finds the one SVG, and refuses what must not reach a parser.
//!
//! The parser calls itself for nested elements in places, and so does all that walks its tree, so depth is bounded here,
//! where nothing is nested yet. This reads tags as XML does; what it does not understand it refuses.

use std::ops::Range;

use crate::{Limits, Position, SvgError};

/// The one SVG in a text.
#[derive(Debug)]
pub(crate) struct Found {
    /// The root element, from `<` to `>`.
    pub(crate) range: Range<usize>,
    /// Words before or behind it.
    pub(crate) prose: bool,
    /// A document type without declarations of its own.
    pub(crate) doctype: bool,
    /// Comments before or behind it, and in it.
    pub(crate) comments: u32,
    /// Processing instructions, other than the XML declaration.
    pub(crate) instructions: u32,
}

/// Finds the SVG in `text` and checks how it is nested.
pub(crate) fn find(text: &str, limits: &Limits) -> Result<Found, SvgError> {
    let start = beginning(text).ok_or(SvgError::NoSvg)?;
    let mut scan = Scan {
        text,
        at: start,
        limits,
        open: Vec::new(),
        elements: 0,
        found: Found {
            range: start..start,
            prose: !text[..start].trim_matches(blank).is_empty(),
            doctype: false,
            comments: 0,
            instructions: 0,
        },
    };
    scan.prolog()?;
    scan.root()?;
    scan.epilog()?;
    Ok(scan.found)
}

/// White space, and the byte order mark.
fn blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

/// Where the first thing of an SVG file begins: its declaration, document type, a comment, or the root itself. Words
/// before it, and the fence of a code block, are not part of it.
fn beginning(text: &str) -> Option<usize> {
    let root = text
        .match_indices('<')
        .map(|(at, _)| at)
        .find(|at| is_root(&text[*at..]))?;
    let prolog = text[..root]
        .match_indices('<')
        .map(|(at, _)| at)
        .find(|at| is_prolog(&text[*at..]));
    Some(prolog.unwrap_or(root))
}

fn is_prolog(rest: &str) -> bool {
    rest.starts_with("<?") || rest.starts_with("<!--") || is_doctype(rest)
}

fn is_doctype(rest: &str) -> bool {
    rest.get(..9)
        .is_some_and(|tag| tag.eq_ignore_ascii_case("<!DOCTYPE"))
}

/// Whether a start tag `svg` stands here, under any prefix.
fn is_root(rest: &str) -> bool {
    let Some(name) = rest.strip_prefix('<').map(name_at) else {
        return false;
    };
    name == "svg"
        || name
            .rsplit_once(':')
            .is_some_and(|(_, local)| local == "svg")
}

fn name_at(rest: &str) -> &str {
    let end = rest
        .find(|c: char| c.is_whitespace() || "/><=\"'&".contains(c))
        .unwrap_or(rest.len());
    &rest[..end]
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    limits: &'a Limits,
    open: Vec<&'a str>,
    elements: u32,
    found: Found,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn here(&self) -> Position {
        Position::of(self.text, self.at)
    }

    fn malformed(&self, problem: &str) -> SvgError {
        SvgError::Malformed {
            at: self.here(),
            problem: problem.to_owned(),
        }
    }

    /// Goes behind the next `end`, or says that the text is cut off.
    fn skip_past(&mut self, end: &str) -> Result<(), SvgError> {
        match self.rest().find(end) {
            Some(offset) => {
                self.at += offset + end.len();
                Ok(())
            }
            None => Err(self.cut_off()),
        }
    }

    fn cut_off(&self) -> SvgError {
        let inside = self.open.last().copied().unwrap_or("svg");
        SvgError::CutOff {
            inside: inside.chars().take(40).collect(),
        }
    }

    /// Comments, instructions and a document type before the root. Other words may stand between them.
    fn prolog(&mut self) -> Result<(), SvgError> {
        loop {
            let next = self.rest().find('<').ok_or(SvgError::NoSvg)?;
            self.found.prose |= !self.rest()[..next].trim_matches(blank).is_empty();
            self.at += next;
            let rest = self.rest();
            if rest.starts_with("<!--") {
                self.comment()?;
            } else if rest.starts_with("<?") {
                self.instruction()?;
            } else if is_doctype(rest) {
                self.doctype()?;
            } else if is_root(rest) {
                self.found.range = self.at..self.at;
                return Ok(());
            } else {
                self.found.prose = true;
                self.at += 1;
            }
        }
    }

    fn comment(&mut self) -> Result<(), SvgError> {
        self.at += "<!--".len();
        self.found.comments = self.found.comments.saturating_add(1);
        self.skip_past("-->")
    }

    fn instruction(&mut self) -> Result<(), SvgError> {
        let target = name_at(&self.rest()[2..]);
        if target != "xml" {
            self.found.instructions = self.found.instructions.saturating_add(1);
        }
        self.skip_past("?>")
    }

    fn doctype(&mut self) -> Result<(), SvgError> {
        let begins = self.here();
        self.found.doctype = true;
        self.at += "<!DOCTYPE".len();
        let mut quote = None;
        for (offset, c) in self.rest().char_indices() {
            match (quote, c) {
                (Some(mark), c) if mark == c => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, '[' | '<') => return Err(SvgError::Doctype { at: begins }),
                (None, '>') => {
                    self.at += offset + 1;
                    return Ok(());
                }
                (None, _) => {}
            }
        }
        Err(self.cut_off())
    }

    /// The root with all in it.
    fn root(&mut self) -> Result<(), SvgError> {
        loop {
            let rest = self.rest();
            if rest.starts_with("<!--") {
                self.comment()?;
            } else if rest.starts_with("<![CDATA[") {
                self.skip_past("]]>")?;
            } else if rest.starts_with("<?") {
                self.instruction()?;
            } else if is_doctype(rest) {
                return Err(SvgError::Doctype { at: self.here() });
            } else if rest.starts_with("<!") {
                return Err(self.malformed("a declaration inside the picture"));
            } else if rest.starts_with("</") {
                self.end_tag()?;
            } else {
                self.start_tag()?;
            }
            if self.open.is_empty() {
                self.found.range.end = self.at;
                return Ok(());
            }
            match self.rest().find('<') {
                Some(offset) => self.at += offset,
                None => return Err(self.cut_off()),
            }
        }
    }

    fn end_tag(&mut self) -> Result<(), SvgError> {
        let name = name_at(&self.rest()[2..]);
        match self.open.pop() {
            Some(open) if open == name => self.skip_past(">"),
            Some(open) => {
                let shown = |name: &str| name.chars().take(40).collect::<String>();
                Err(self.malformed(&format!("</{}> closes <{}>", shown(name), shown(open))))
            }
            None => Err(self.malformed("an end tag with nothing open")),
        }
    }

    fn start_tag(&mut self) -> Result<(), SvgError> {
        let name = name_at(&self.rest()[1..]);
        if name.is_empty() {
            return Err(self.malformed("a '<' that begins no tag; write &lt;"));
        }
        self.elements += 1;
        if self.elements > self.limits.elements {
            return Err(SvgError::TooMany {
                what: "elements".to_owned(),
                limit: self.limits.elements.into(),
            });
        }
        if self.open.len() >= self.limits.depth as usize {
            return Err(SvgError::TooDeep {
                at: self.here(),
                limit: self.limits.depth,
            });
        }
        self.open.push(name);
        self.at += 1 + name.len();
        self.attributes()
    }

    /// From behind a tag's name to behind its `>`.
    fn attributes(&mut self) -> Result<(), SvgError> {
        let mut attributes = 0;
        loop {
            let Some(offset) = self.rest().find(['"', '\'', '>', '<']) else {
                return Err(self.cut_off());
            };
            let before = &self.rest()[..offset];
            self.at += offset;
            match self.rest().as_bytes()[0] {
                b'>' => {
                    self.at += 1;
                    if before.ends_with('/') {
                        self.open.pop();
                    }
                    return Ok(());
                }
                b'<' => return Err(self.malformed("a '<' inside a tag")),
                quote => {
                    attributes += 1;
                    if attributes > self.limits.attributes {
                        return Err(SvgError::TooMany {
                            what: "attributes of one element".to_owned(),
                            limit: self.limits.attributes.into(),
                        });
                    }
                    self.at += 1;
                    self.skip_past(if quote == b'"' { "\"" } else { "'" })?;
                }
            }
        }
    }

    /// Behind the root there may be words, but not another SVG.
    fn epilog(&mut self) -> Result<(), SvgError> {
        let rest = self.rest();
        if let Some(offset) = rest
            .match_indices('<')
            .map(|(at, _)| at)
            .find(|at| is_root(&rest[*at..]))
        {
            self.at += offset;
            return Err(SvgError::SeveralSvgs { at: self.here() });
        }
        self.found.prose |= !rest.trim_matches(blank).is_empty();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
