//! Writes the clean file. Nothing of the original's bytes is copied: names come from the allowlist, values are escaped here.

use crate::{
    allow::Content,
    clean::{SVG, XLINK},
};

/// Indentation stops here, or deep files would be mostly white space.
const DEEPEST_INDENT: usize = 10;

/// An element that is open.
struct Open {
    name: String,
    content: Content,
    empty: bool,
}

/// Builds the text, an element a line where white space means nothing.
pub(crate) struct Writer {
    out: String,
    open: Vec<Open>,
    xlink: bool,
}

impl Writer {
    pub(crate) fn new() -> Writer {
        Writer {
            out: String::new(),
            open: Vec::new(),
            xlink: false,
        }
    }

    pub(crate) fn open(&mut self, name: &str, attributes: &[(String, String)], content: Content) {
        self.begin_content();
        let in_text = self.in_text();
        if !in_text && !self.open.is_empty() {
            self.new_line();
        }
        self.out.push('<');
        self.out.push_str(name);
        if self.open.is_empty() {
            self.out.push_str(NAMESPACES);
        }
        for (name, value) in attributes {
            self.xlink |= name == "xlink:href";
            self.out.push(' ');
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        // Inside of text every element keeps its content as it is.
        let content = if in_text { Content::Mixed } else { content };
        self.open.push(Open {
            name: name.to_owned(),
            content,
            empty: true,
        });
    }

    pub(crate) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.begin_content();
            escape_text(text, &mut self.out);
        }
    }

    pub(crate) fn close(&mut self) {
        let Some(closing) = self.open.pop() else {
            return;
        };
        if closing.empty {
            self.out.push_str("/>");
            return;
        }
        if closing.content == Content::Elements {
            self.new_line();
        }
        self.out.push_str("</");
        self.out.push_str(&closing.name);
        self.out.push('>');
    }

    /// The whole file.
    pub(crate) fn finish(self) -> String {
        let xlink = if self.xlink {
            format!(" xmlns=\"{SVG}\" xmlns:xlink=\"{XLINK}\"")
        } else {
            format!(" xmlns=\"{SVG}\"")
        };
        self.out.replacen(NAMESPACES, &xlink, 1)
    }

    fn begin_content(&mut self) {
        if let Some(parent) = self.open.last_mut()
            && parent.empty
        {
            parent.empty = false;
            self.out.push('>');
        }
    }

    fn in_text(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| open.content != Content::Elements)
    }

    fn new_line(&mut self) {
        self.out.push('\n');
        for _ in 0..self.open.len().min(DEEPEST_INDENT) {
            self.out.push(' ');
        }
    }
}

/// Stands for the namespaces until it is known which are needed. It cannot come from a file: `\u{1}` is no character of XML.
const NAMESPACES: &str = "\u{1}";

/// Escapes an attribute's value so that a parser gives back exactly these characters.
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c if is_xml(c) => out.push(c),
            _ => {}
        }
    }
}

fn escape_text(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            c if is_xml(c) => out.push(c),
            _ => {}
        }
    }
}

/// Whether XML 1.0 has the character.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}
