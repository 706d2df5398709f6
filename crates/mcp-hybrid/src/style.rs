//! What people see: colours on a terminal, plain text elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use mcp_runtime::Vars;

/// Colours, or none where standard output is no terminal or `NO_COLOR` is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    colours: bool,
}

/// What a text is to look like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tone {
    Good,
    Bad,
    Waiting,
    Dim,
    Bold,
}

impl Style {
    /// For standard output.
    pub(crate) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colours: std::io::stdout().is_terminal() && !refused,
        }
    }

    /// `text` in that tone (ECMA-48 SGR).
    pub(crate) fn paint(self, tone: Tone, text: impl std::fmt::Display) -> String {
        if !self.colours {
            return text.to_string();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Waiting => "33",
            Tone::Dim => "2",
            Tone::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The variables with the log switched off, unless someone asks for it.
pub(crate) fn quiet(vars: &Vars) -> Vars {
    match vars.get("RUST_LOG") {
        Some(_) => vars.clone(),
        None => vars.clone().with("RUST_LOG", "off"),
    }
}

/// A line on standard output. A reader that has gone away (`| head`) is no error.
pub(crate) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The error in one line on standard error, with its causes. librdkafka's errors say their cause themselves.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.ends_with(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    let _ = writeln!(std::io::stderr(), "mcp-hybrid: {line}");
    ExitCode::FAILURE
}
