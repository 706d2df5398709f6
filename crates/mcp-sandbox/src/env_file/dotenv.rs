//! The dotenv syntax: `KEY=value` lines, `export `, `#` comments, quotes. Values are taken as they stand: `$NAME` is
//! not expanded, and nothing is run.

use mcp_core::Secret;

/// What is wrong, and on which line. It never shows the line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DotenvError {
    /// The line is no assignment.
    #[error("line {0}: no KEY=VALUE")]
    NoAssignment(usize),
    /// A quote is not closed.
    #[error("line {0}: the quote that begins here is not closed")]
    OpenQuote(usize),
    /// There is something behind the closing quote.
    #[error("line {0}: only a comment may follow the closing quote")]
    AfterQuote(usize),
}

/// The assignments in `text`, in order. A name that is set twice is returned twice.
pub(crate) fn parse(text: &str) -> Result<Vec<(String, Secret)>, DotenvError> {
    let mut pairs = Vec::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    while !rest.is_empty() {
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let statement = first.trim();
        if statement.is_empty() || statement.starts_with('#') {
            rest = after;
            line += 1;
            continue;
        }
        let (name, _) = first
            .split_once('=')
            .ok_or(DotenvError::NoAssignment(line))?;
        let value = rest[name.len() + 1..].trim_start_matches([' ', '\t']);
        let name = name.trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        if name.is_empty() {
            return Err(DotenvError::NoAssignment(line));
        }
        let (value, after) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(&value[1..], quote, line)?,
            _ => bare(value),
        };
        pairs.push((name.to_owned(), Secret::new(value)));
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    Ok(pairs)
}

/// An unquoted value ends at ` #` or at the end of the line.
fn bare(text: &str) -> (String, &str) {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    let comment = line
        .char_indices()
        .find(|(at, c)| *c == '#' && (*at == 0 || line[..*at].ends_with([' ', '\t'])));
    let end = comment.map_or(line.len(), |(at, _)| at);
    (line[..end].trim().to_owned(), after)
}

/// A quoted value may span lines. Escapes are known in double quotes only.
fn quoted(text: &str, quote: char, line: usize) -> Result<(String, &str), DotenvError> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            let (rest, after) = text[at + 1..]
                .split_once('\n')
                .unwrap_or((&text[at + 1..], ""));
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                return Err(DotenvError::AfterQuote(line));
            }
            return Ok((value, after));
        }
        if c == '\\' && quote == '"' {
            match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, other @ ('"' | '\\' | '$'))) => value.push(other),
                Some((_, other)) => value.extend(['\\', other]),
                None => return Err(DotenvError::OpenQuote(line)),
            }
        } else {
            value.push(c);
        }
    }
    Err(DotenvError::OpenQuote(line))
}

#[cfg(test)]
mod tests {
    use super::{DotenvError, parse};

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text)
            .unwrap()
            .into_iter()
            .map(|(name, value)| (name, value.expose().to_owned()))
            .collect()
    }

    #[test]
    fn the_usual_forms_are_read() {
        let text = "# comment\n\nA=1\nexport B = two words  # why\nC='single $x \\n'\nD=\"a\\nb\\\"\" # c\r\nE=\nF=a#b\nG=k=v\nH=\"x\ny\"\nI=#c\n";
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "single $x \\n"),
            ("D", "a\nb\""),
            ("E", ""),
            ("F", "a#b"),
            ("G", "k=v"),
            ("H", "x\ny"),
            ("I", ""),
        ];
        let expected: Vec<_> = expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        assert_eq!(pairs(text), expected);
        assert_eq!(pairs("\u{feff}A=1"), pairs("A=1"));
    }

    #[test]
    fn an_error_names_the_line() {
        assert_eq!(
            parse("A=1\nhello\n").unwrap_err(),
            DotenvError::NoAssignment(2)
        );
        assert_eq!(
            parse("A='x\ny'\nB=\"x").unwrap_err(),
            DotenvError::OpenQuote(3)
        );
        assert_eq!(parse("A='x' y").unwrap_err(), DotenvError::AfterQuote(1));
        assert_eq!(parse("=x").unwrap_err(), DotenvError::NoAssignment(1));
    }
}
