//! `dlq`: dead letters as a tool for people: list, show, redrive, purge.
//!
//! Everything here blocks, apart from [`run`]: librdkafka's calls for tools are synchronous. What is decided is pure
//! (`filter`, `letter`, `mask`, `plan`); brokers are reached only through `reader`, `ledger`, `sender` and `purge`.
//!
//! A redrive sends each letter once, whatever happens to it: the job and a record in the ledger topic
//! (`{dead-letter topic}-redriven`) are written in one Kafka transaction, and a letter that is in the ledger is not
//! sent again.

mod client;
mod filter;
mod ledger;
mod letter;
mod list;
mod mask;
mod options;
mod progress;
mod purge;
mod reader;
mod redrive;
mod selection;
mod show;
mod table;
mod target;

use std::io::Write as _;
use std::process::ExitCode;

use mcp_core::clock::Clock;
use mcp_runtime::vars::ConfigError;
use mcp_runtime::{Telemetry, Vars, signals};
use tokio_util::sync::CancellationToken;

pub(crate) use mask::Mask;
pub use options::{DlqCommand, ListOptions, PurgeOptions, RedriveOptions, ShowOptions};

/// The exit code for a command line that can't be carried out.
const USAGE: u8 = 2;

/// What every subcommand gets.
struct Session {
    vars: Vars,
    clock: Clock,
    stop: CancellationToken,
}

/// A command line that clap accepts and that can't be carried out all the same.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

/// Carries the command out, says on standard error what is wrong, and returns the exit code: 0 for all, 1 when something
/// could not be done, 2 for a wrong command line or variable.
pub async fn run(program: &str, command: DlqCommand, vars: Vars) -> ExitCode {
    match carry_out(command, vars).await {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{program}: {}", in_one_line(&error));
            let usage = error.is::<UsageError>() || error.is::<ConfigError>();
            ExitCode::from(if usage { USAGE } else { 1 })
        }
    }
}

async fn carry_out(command: DlqCommand, vars: Vars) -> anyhow::Result<ExitCode> {
    // What is wrong is said in one line; librdkafka's log is for those who ask for it.
    let log = match vars.get("RUST_LOG") {
        Some(_) => vars.clone(),
        None => vars.clone().with("RUST_LOG", "off"),
    };
    let telemetry = Telemetry::init("kafka-worker", &log)?;
    // Only a redrive has something to finish. The others end at once, as every program does.
    let stop = match &command {
        DlqCommand::Redrive(_) => signals::stop_token()?,
        _ => CancellationToken::new(),
    };
    let session = Session {
        vars,
        clock: Clock::System,
        stop,
    };
    let outcome = tokio::task::spawn_blocking(move || match command {
        DlqCommand::List(options) => list::run(&options, &session),
        DlqCommand::Show(options) => show::run(&options, &session),
        DlqCommand::Redrive(options) => redrive::run(&options, &session),
        DlqCommand::Purge(options) => purge::run(&options, &session),
    })
    .await;
    telemetry.shutdown();
    outcome?
}

/// The error with its causes; those that it says itself are left out.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// A line on standard error.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line on standard output. A reader that has gone away (`| head`) is no error.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// `1 letter`, `2 letters`.
fn letters(count: u64) -> String {
    match count {
        1 => "1 letter".to_owned(),
        count => format!("{count} letters"),
    }
}
