//! `cargo xtask docs`: the pages that are made from code.

use std::path::Path;

use anyhow::Context as _;
use mcp_runtime::{metric, telemetry};

/// Writes docs/metrics.md and docs/configuration.md from the programs' own definitions.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if a page is not what the code gives.
    #[arg(long)]
    check: bool,
}

const CONFIGURATION: &str = "\
# Configuration

Made by `cargo xtask docs` from the code that reads the variables: change that (`variables.rs` and `config.rs` of each crate), not this
page. `--help` of each program says the same.

All settings are environment variables. An empty one counts as not set. A bad value stops the start with one line: the variable, its value unless
it is a secret, and what is allowed; so does a name that differs from one of these by a letter or two. A secret is given as a value or, better, as a
file (`…_FILE`), whose line's end is not part of it.
";

const COMMANDS: &str = "
## Commands

`kafka-worker dlq`, `mcp-hybrid dlq` and `mcp-hybrid job submit` take `KAFKA_BROKERS`, `KAFKA_TOPIC`, `KAFKA_DLQ_TOPIC`, `KAFKA_RESULT_TOPIC` and
`KAFKA_PROPERTY_*` as the worker does, and flags instead of them: `--help` of each command has them.
";

/// Each page's path in the repository, and its text.
fn pages() -> [(&'static str, String); 2] {
    let metrics = metric::page(&[
        ("kafka-worker", &kafka_worker::metric_definitions::exposed()),
        ("mcp-server", &mcp_server::metric_definitions::exposed()),
    ]);
    let mut configuration = String::from(CONFIGURATION);
    for (title, documentation) in [
        ("kafka-worker", kafka_worker::variables::variables()),
        ("mcp-server", mcp_server::variables::variables()),
        ("Both: logs and traces", telemetry::variables()),
    ] {
        configuration.push_str(&format!("\n## {title}\n\n{}", documentation.table()));
    }
    configuration.push_str(COMMANDS);
    [
        ("docs/metrics.md", metrics),
        ("docs/configuration.md", configuration),
    ]
}

/// Writes the pages, or compares them with what is there. Whether all is well.
pub(crate) fn run(repository: &Path, options: &Options) -> anyhow::Result<bool> {
    let mut fine = true;
    for (path, text) in pages() {
        let file = repository.join(path);
        if std::fs::read_to_string(&file).is_ok_and(|there| there == text) {
            continue;
        }
        if options.check {
            crate::chaos::say(&format!(
                "{path} is not what the code gives: run cargo xtask docs"
            ));
            fine = false;
        } else {
            std::fs::write(&file, text).with_context(|| file.display().to_string())?;
            crate::chaos::say(&format!("wrote {path}"));
        }
    }
    Ok(fine)
}

#[cfg(test)]
mod tests {
    use super::{Options, run};

    #[test]
    fn the_committed_pages_are_what_the_code_gives() {
        let repository = mcp_testkit::fetched::repository();
        let fine = run(&repository, &Options { check: true }).unwrap();
        assert!(fine, "run cargo xtask docs");
    }
}
