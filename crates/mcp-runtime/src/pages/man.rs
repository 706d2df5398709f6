//! Man pages in the form that their readers know: what `--help` says after the options becomes sections of its own, with the
//! variables under ENVIRONMENT.

use std::io;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// A line of `--help` that begins in this column or further right goes on with the line before it.
const CONTINUATION: usize = 8;

/// The pages of a command line: file name and content, a page for each command that is not hidden.
pub(super) fn pages(command: clap::Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let source = format!(
        "{} {}",
        command.get_name(),
        command.get_version().unwrap_or_default()
    );
    let mut pages = Vec::new();
    collect(&command, &source, &mut pages)?;
    Ok(pages)
}

fn collect(
    command: &clap::Command,
    source: &str,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> io::Result<()> {
    pages.push(page(command, source)?);
    command
        .get_subcommands()
        .filter(|one| !one.is_hide_set())
        .try_for_each(|one| collect(one, source, pages))
}

/// The page of a command, by its file's name; `source` is the program that it belongs to, with its version.
fn page(command: &clap::Command, source: &str) -> io::Result<(String, Vec<u8>)> {
    let man = Man::new(command.clone());
    let mut out = Vec::new();
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    if command.get_arguments().any(|one| !one.is_hide_set()) {
        man.render_options_section(&mut out)?;
    }
    if command.get_subcommands().any(|one| !one.is_hide_set()) {
        man.render_subcommands_section(&mut out)?;
    }
    let after = command
        .get_after_long_help()
        .or_else(|| command.get_after_help());
    if let Some(after) = after {
        for section in sections(&after.to_string()) {
            section.render(&mut out)?;
        }
    }
    if command.get_version().is_some() {
        man.render_version_section(&mut out)?;
    }
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    // clap_mangen leaves an empty date out, and what stands behind it takes its place.
    let title = format!(".TH \"{name}\" \"1\" \"\" \"{source}\" \"\"\n");
    Ok((man.get_filename(), with_one_preamble(&title, &out)))
}

/// How `roff` prints an apostrophe on every formatter; it stands before each part of the page that is rendered.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

fn with_one_preamble(title: &str, parts: &[u8]) -> Vec<u8> {
    let parts = String::from_utf8_lossy(parts).replace(PREAMBLE, "");
    format!("{PREAMBLE}{title}{parts}").into_bytes()
}

/// A part of what stands after the options in `--help`.
#[derive(Debug, PartialEq, Eq)]
enum Section {
    /// The sentence above the variables; and name or names, and meaning, of each entry.
    Environment(String, Vec<(String, String)>),
    /// Commands, as they are typed.
    Examples(Vec<String>),
    /// Any other text, line by line.
    Notes(Vec<String>),
}

/// The blocks of `text`, which empty lines part. Neighbours of the same kind stay in one section, so that no heading stands twice in a row.
fn sections(text: &str) -> Vec<Section> {
    let lines: Vec<_> = text.lines().collect();
    let mut sections: Vec<Section> = Vec::new();
    for block in lines.split(|line| line.trim().is_empty()) {
        let Some((first, rest)) = block.split_first() else {
            continue;
        };
        if first.contains("environment variables") && first.ends_with(':') {
            sections.push(Section::Environment((*first).to_owned(), entries(rest)));
        } else if matches!(*first, "Example:" | "Examples:") {
            sections.push(Section::Examples(owned(rest)));
        } else if let Some(Section::Notes(notes)) = sections.last_mut() {
            notes.push(String::new());
            notes.extend(owned(block));
        } else {
            sections.push(Section::Notes(owned(block)));
        }
    }
    sections
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

/// Lines as `  NAME, OTHER  meaning`; what is indented further goes on with the meaning above.
fn entries(lines: &[&str]) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for line in lines {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        match entries.last_mut() {
            Some((_, meaning)) if indent >= CONTINUATION => {
                if !meaning.is_empty() {
                    meaning.push(' ');
                }
                meaning.push_str(text);
            }
            _ => entries.push(entry(text)),
        }
    }
    entries
}

/// The leading names, with commas between them, and the rest.
fn entry(text: &str) -> (String, String) {
    let is_name = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "_[]*…".contains(c))
    };
    let mut end = 0;
    let mut at = 0;
    for word in text.split_inclusive(' ') {
        let bare = word.trim_end();
        if !is_name(bare.trim_end_matches(',')) {
            break;
        }
        at += word.len();
        end = at;
        if !bare.ends_with(',') {
            break;
        }
    }
    let (names, meaning) = text.split_at(end);
    (names.trim_end().to_owned(), meaning.trim_start().to_owned())
}

impl Section {
    fn render(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut roff = Roff::new();
        match self {
            Self::Environment(sentence, entries) => {
                roff.control("SH", ["ENVIRONMENT"]);
                roff.text([roman(sentence)]);
                for (names, meaning) in entries {
                    roff.control("TP", []);
                    roff.text([bold(names)]);
                    roff.text([roman(meaning)]);
                }
            }
            Self::Examples(lines) => as_typed(&mut roff, "EXAMPLES", lines),
            Self::Notes(lines) => as_typed(&mut roff, "NOTES", lines),
        }
        roff.to_writer(out)
    }
}

/// The lines as they are: not filled, not hyphenated.
fn as_typed(roff: &mut Roff, heading: &str, lines: &[String]) {
    roff.control("SH", [heading]);
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: &str = "\
All settings are environment variables (default):
  PORT                     the port (8080)
  KEY, KEY_FILE            the key
  A_LONG_NAME, ANOTHER_LONG_NAME
                           what they
                           are for (0)
  A_NAME_THAT_FILLS_IT_ALL with one blank behind it
  OTEL_* and the others: traces

Routes: GET /health,
GET /ready.

Another word.

Examples:
  PORT=1 program
  program --help";

    fn pair(names: &str, meaning: &str) -> (String, String) {
        (names.to_owned(), meaning.to_owned())
    }

    #[test]
    fn what_help_says_at_its_end_becomes_sections() {
        let found = sections(AFTER);
        assert_eq!(found.len(), 3, "{found:?}");
        let Section::Environment(sentence, variables) = &found[0] else {
            panic!("{found:?}");
        };
        assert_eq!(
            sentence,
            "All settings are environment variables (default):"
        );
        let wanted = [
            pair("PORT", "the port (8080)"),
            pair("KEY, KEY_FILE", "the key"),
            pair("A_LONG_NAME, ANOTHER_LONG_NAME", "what they are for (0)"),
            pair("A_NAME_THAT_FILLS_IT_ALL", "with one blank behind it"),
            pair("OTEL_*", "and the others: traces"),
        ];
        assert_eq!(variables, &wanted);
        let notes = ["Routes: GET /health,", "GET /ready.", "", "Another word."];
        assert_eq!(found[1], Section::Notes(owned(&notes)));
        let examples = ["  PORT=1 program", "  program --help"];
        assert_eq!(found[2], Section::Examples(owned(&examples)));
    }

    #[test]
    fn every_visible_command_has_a_page() {
        let command = clap::Command::new("program")
            .version("1.2.3")
            .about("Does things")
            .after_help(AFTER)
            .subcommand(clap::Command::new("start").subcommand(clap::Command::new("now")))
            .subcommand(clap::Command::new("secret").hide(true));
        let pages = pages(command).expect("written to memory");
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["program.1", "program-start.1", "program-start-now.1"]
        );
        let page = String::from_utf8(pages[0].1.clone()).expect("text");
        for heading in [
            "NAME",
            "SYNOPSIS",
            "ENVIRONMENT",
            "NOTES",
            "EXAMPLES",
            "VERSION",
        ] {
            assert!(
                page.contains(&format!(".SH {heading}\n")),
                "{heading}:\n{page}"
            );
        }
        let title = ".TH \"program\" \"1\" \"\" \"program 1.2.3\" \"\"\n";
        assert!(page.starts_with(&format!("{PREAMBLE}{title}")), "{page}");
        assert_eq!(page.matches(".ds Aq").count(), 2, "{page}");
        assert!(page.contains("\\fBKEY, KEY_FILE\\fR\nthe key"), "{page}");
    }
}
