//! What the benchmark is doing, for whoever waits for it.

/// Prints a line on standard error.
#[expect(
    clippy::print_stderr,
    reason = "progress goes to standard error, so that the table on standard output can be piped"
)]
pub(crate) fn say(line: impl std::fmt::Display) {
    eprintln!("bench: {line}");
}
