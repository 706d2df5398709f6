//! What the benchmark is doing, for whoever waits for it.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// Prints a line on standard error.
#[expect(
    clippy::print_stderr,
    reason = "progress goes to standard error, so that the table on standard output can be piped"
)]
pub fn say(line: impl std::fmt::Display) {
    eprintln!("bench: {line}");
}

/// Prints a report on standard output, and writes it to a file if there is one.
///
/// # Errors
/// When either can't be written.
pub fn deliver(text: &str, file: Option<&Path>) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}")?;
    if let Some(file) = file {
        std::fs::write(file, text)
            .with_context(|| format!("{} can't be written", file.display()))?;
        say(format_args!("wrote {}", file.display()));
    }
    Ok(())
}
