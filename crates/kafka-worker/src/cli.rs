//! The command line of the worker: help that teaches, errors in one line.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;

use anyhow::Context as _;
use kafka_worker::dlq::DlqCommand;
use kafka_worker::variables;
use mcp_runtime::pages::Pages;
use mcp_runtime::probe::{Probe, connect};
use mcp_runtime::{Vars, telemetry};
use tokio::net::TcpListener;

/// Without a command: consumes jobs from Kafka, calls an MCP server for each, and commits an offset only when its job has succeeded or is
/// safely in the dead-letter topic.
#[derive(Debug, clap::Parser)]
#[command(name = "kafka-worker", version, about, after_help = variables())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do instead of working.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Work with dead letters: look at them, send them back, clear them away.
    #[command(subcommand)]
    Dlq(Box<DlqCommand>),
    /// Asks the worker that runs here with the same variables (ADMIN_BIND, ADMIN_PORT) how it is; exit code 0 only when well.
    Health(Probe),
    #[command(flatten)]
    Pages(Pages),
}

const EXAMPLES: &str = "\
Examples:
  KAFKA_BROKERS=localhost:9092 MCP_SERVER_URL=http://localhost:8080 kafka-worker
  KAFKA_BROKERS=localhost:9092 kafka-worker dlq list --since 2h
  kafka-worker health --ready";

fn variables() -> String {
    let (own, shared) = (variables::variables().help(), telemetry::variables().help());
    format!("All settings are environment variables (default):\n{own}{shared}\n{EXAMPLES}")
}

/// Binds the admin port.
pub(crate) async fn bind(address: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((address, port))
        .await
        .with_context(|| format!("ADMIN_PORT={port}: {address}:{port} can't be bound; choose another, or 0 for any free one"))
}

/// Prints how the worker of this machine is.
pub(crate) async fn health(probe: Probe, vars: &Vars) -> anyhow::Result<()> {
    let bind = vars.parse(
        "ADMIN_BIND",
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "an IP address",
    )?;
    let port = vars.number("ADMIN_PORT", 9090, 0, u16::MAX)?;
    let text = probe.ask(connect(bind, port)).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Prints the error in one line.
#[expect(
    clippy::print_stderr,
    reason = "errors of the start come before logging does"
)]
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("kafka-worker: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::Cli;

    #[test]
    fn the_documents_name_commands_that_there_are() {
        let documents = [
            include_str!("../../../README.md"),
            include_str!("../../../docs/operations.md"),
            include_str!("../../../docs/runbook.md"),
        ];
        let mut read = 0;
        for line in documents.iter().flat_map(|document| document.lines()) {
            for (at, _) in line.match_indices("kafka-worker dlq ") {
                let command = line[at..].split(['`', '#', '|', ';', '\\']).next();
                let command = command.unwrap_or_default().trim();
                let filled_in = command.replace("P:O", "0:1").replace("CODE", "tool-failed");
                // One that leaves something out, or is just named.
                if command.contains('…') || command.split_whitespace().count() == 3 {
                    continue;
                }
                if let Err(error) = Cli::try_parse_from(filled_in.split_whitespace()) {
                    panic!("{command}: {error}");
                }
                read += 1;
            }
        }
        assert!(read > 20, "{read}");
    }
}
