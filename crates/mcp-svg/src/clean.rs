//! From a text to a clean SVG: found, parsed, filtered by the allowlist, and written anew.

mod attributes;
mod size;

use std::borrow::Cow;

use resvg::usvg::roxmltree::{Document, Node, ParsingOptions};
use serde::{Deserialize, Serialize};

use crate::{
    Limits, Position, Removed, SvgError,
    allow::{self, Content},
    css,
    removed::Account,
    scan::{self, Found},
    write::Writer,
};

pub(crate) const SVG: &str = "http://www.w3.org/2000/svg";
pub(crate) const XLINK: &str = "http://www.w3.org/1999/xlink";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Longest title and description, in characters; what is longer is cut.
const LONGEST_TITLE: usize = 200;
const LONGEST_DESCRIPTION: usize = 2_000;

/// An SVG that holds nothing but what the allowlist names, written by this crate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CleanSvg {
    /// The file, UTF-8, without an XML declaration. Cleaning it again gives the same text and removes nothing.
    pub svg: String,
    /// Width of the picture in CSS pixels.
    pub width: f64,
    /// Height of the picture in CSS pixels.
    pub height: f64,
    /// The text of its first `title`, at most 200 characters. Words of the file: data, not instructions.
    pub title: Option<String>,
    /// The text of its first `desc`, at most 2,000 characters.
    pub desc: Option<String>,
    /// What was taken out, a line a kind.
    pub removed: Vec<Removed>,
}

/// Takes the one SVG out of `text` and makes it safe. See the [crate's documentation](crate) for what stays.
pub fn clean(text: &str, limits: &Limits) -> Result<CleanSvg, SvgError> {
    within("the text", text.len(), limits.input_bytes)?;
    let found = scan::find(text, limits)?;
    let mut account = Account::new(limits.removed_kinds);
    note_surroundings(&found, &mut account);
    let origin = Position::of(text, found.range.start);
    let source = with_xlink(&text[found.range]);
    let document = parse(&source, origin, limits)?;
    let root = document.root_element();
    // Models leave the namespace out; with none at all, the names alone decide.
    let namespace = match root.tag_name().namespace() {
        Some(SVG) => Some(SVG),
        None => None,
        Some(other) => {
            return Err(SvgError::WrongNamespace {
                namespace: other.chars().take(100).collect(),
            });
        }
    };
    let size = size::of(root)?;
    let mut cleaner = Cleaner {
        limits,
        namespace,
        account,
        out: Writer::new(),
        styles: 0,
        written_styles: 0,
        selectors: 0,
        pixels: 0,
    };
    cleaner.element(root, false)?;
    let svg = cleaner.out.finish();
    // Escapes and line breaks make it longer; it has to pass here again.
    within("the clean SVG", svg.len(), limits.input_bytes)?;
    Ok(CleanSvg {
        svg,
        width: size.width,
        height: size.height,
        title: words_of(root, namespace, "title", LONGEST_TITLE),
        desc: words_of(root, namespace, "desc", LONGEST_DESCRIPTION),
        removed: cleaner.account.into_lines(),
    })
}

/// Models write `xlink:href` and forget to say what `xlink` is. Nothing else can be meant by it.
fn with_xlink(svg: &str) -> Cow<'_, str> {
    if !svg.contains("xlink:href") || svg.contains("xmlns:xlink") {
        return Cow::Borrowed(svg);
    }
    let name_ends = svg
        .find(|c: char| c.is_whitespace() || c == '>' || c == '/')
        .unwrap_or(svg.len());
    let (name, rest) = svg.split_at(name_ends);
    Cow::Owned(format!("{name} xmlns:xlink=\"{XLINK}\"{rest}"))
}

/// Parses what [`scan::find`] found; `origin` is where it begins in the text that was given.
pub(crate) fn parse<'a>(
    svg: &'a str,
    origin: Position,
    limits: &Limits,
) -> Result<Document<'a>, SvgError> {
    use resvg::usvg::roxmltree::Error;
    // Before each element and before each end there may be text, even if it is a line break only.
    let most_nodes = limits.elements.saturating_mul(3).saturating_add(2);
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: most_nodes,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(svg, options).map_err(|error| match error {
        Error::NodesLimitReached => SvgError::TooMany {
            what: "elements, texts and comments".to_owned(),
            limit: most_nodes.into(),
        },
        other => {
            let at = other.pos();
            let text = other.to_string();
            // The parser's sentence ends with its own idea of the place.
            let problem = text
                .rsplit_once(" at ")
                .map_or(text.as_str(), |(said, _)| said);
            SvgError::Malformed {
                at: origin.plus(at.row, at.col),
                problem: problem.chars().take(200).collect(),
            }
        }
    })
}

pub(crate) fn within(what: &str, bytes: usize, limit: usize) -> Result<(), SvgError> {
    if bytes <= limit {
        return Ok(());
    }
    Err(SvgError::TooLarge {
        what: what.to_owned(),
        bytes: bytes as u64,
        limit: limit as u64,
    })
}

fn note_surroundings(found: &Found, account: &mut Account) {
    if found.prose {
        account.note("text around the SVG");
    }
    if found.doctype {
        account.note("DOCTYPE");
    }
    for _ in 0..found.instructions {
        account.note("processing instruction");
    }
    for _ in 0..found.comments {
        account.note("comment");
    }
}

struct Cleaner<'a> {
    limits: &'a Limits,
    namespace: Option<&'static str>,
    account: Account,
    out: Writer,
    /// Bytes of style sheets so far, as given and as written.
    styles: usize,
    written_styles: usize,
    selectors: usize,
    /// Pixels of embedded images so far.
    pixels: u64,
}

impl Cleaner<'_> {
    /// Writes an element with what it holds. Calls itself at most as deep as the scan allowed.
    fn element(&mut self, node: Node<'_, '_>, in_text: bool) -> Result<(), SvgError> {
        let name = node.tag_name().name();
        if node.tag_name().namespace() != self.namespace {
            self.account.note("element of another vocabulary than SVG");
            return Ok(());
        }
        let content = match allow::element(name) {
            // Inside of text a link holds text.
            Some(_) if name == "a" && in_text => Content::Mixed,
            Some(content) => content,
            None => {
                self.account.note_named("element", name);
                return Ok(());
            }
        };
        let Some(attributes) = self.attributes(node, name)? else {
            return Ok(());
        };
        if content == Content::Style {
            return self.style(node, &attributes);
        }
        self.out.open(name, &attributes, content);
        for child in node.children() {
            if child.is_element() && content != Content::Text {
                self.element(child, content == Content::Mixed)?;
            } else if child.is_element() {
                self.account.note("element inside of a text-only element");
            } else if child.is_text() {
                self.text(child.text().unwrap_or_default(), content);
            }
        }
        self.out.close();
        Ok(())
    }

    fn text(&mut self, text: &str, content: Content) {
        match content {
            Content::Mixed | Content::Text => self.out.text(text),
            _ if text.trim().is_empty() => {}
            _ => self.account.note("text where none is shown"),
        }
    }

    fn style(
        &mut self,
        node: Node<'_, '_>,
        attributes: &[(String, String)],
    ) -> Result<(), SvgError> {
        let text: String = node
            .children()
            .filter(Node::is_text)
            .filter_map(|child| child.text())
            .collect();
        self.styles += text.len();
        within("the style sheets", self.styles, self.limits.style_bytes)?;
        if node.children().any(|child| child.is_element()) {
            self.account.note("element inside of a style sheet");
        }
        let rules = css::sheet(&text, &mut self.account);
        self.selectors += rules.iter().map(|rule| rule.selectors.len()).sum::<usize>();
        if self.selectors > self.limits.selectors as usize {
            return Err(SvgError::TooMany {
                what: "selectors in style sheets".to_owned(),
                limit: self.limits.selectors.into(),
            });
        }
        if !rules.is_empty() {
            let sheet = css::write_sheet(&rules);
            // Spaces and line breaks make it longer; it has to pass here again.
            self.written_styles += sheet.len();
            within(
                "the clean style sheets",
                self.written_styles,
                self.limits.style_bytes,
            )?;
            self.out.open("style", attributes, Content::Style);
            self.out.text(&sheet);
            self.out.close();
        }
        Ok(())
    }
}

/// The text of the root's first child `name`, its white space collapsed.
fn words_of(
    root: Node<'_, '_>,
    namespace: Option<&str>,
    name: &str,
    longest: usize,
) -> Option<String> {
    let node = root.children().find(|child| {
        child.tag_name().name() == name && child.tag_name().namespace() == namespace
    })?;
    let text: String = node
        .children()
        .filter(Node::is_text)
        .filter_map(|child| child.text())
        .collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let text: String = words.join(" ").chars().take(longest).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
