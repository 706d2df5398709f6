//! The command line's shape.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use kafka_worker::dlq::DlqCommand;
use mcp_runtime::pages::Pages;

/// Durable, horizontally scaled MCP tool calls: Kafka jobs in, MCP tool calls out.
#[derive(Debug, Parser)]
#[command(name = "mcp-hybrid", version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole system in one process: broker, server, two workers, jobs of every type.
    Dev(DevOptions),
    /// Work with jobs.
    #[command(subcommand)]
    Job(JobCommand),
    /// Work with dead letters: look at them, send them back, clear them away.
    #[command(subcommand)]
    Dlq(DlqCommand),
    #[command(flatten)]
    Pages(Pages),
    /// The stdio MCP server that `dev` starts.
    #[command(hide = true)]
    DemoServer(DemoServerOptions),
}

/// Options of `dev`.
#[derive(Debug, Args)]
#[command(after_help = "\
The embedded broker is for trying out: nothing survives the process, a partition keeps its last 5 MiB, there are no
admin calls and no real transactions. With --brokers the same runs on a real Kafka, on topics of its own.

Exits with 0 only if every job ended as expected. RUST_LOG=info shows the logs of server and workers.")]
pub(crate) struct DevOptions {
    /// Stay up after the jobs and print commands to play with; Ctrl-C ends it.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Use this Kafka (host:port, comma-separated) instead of the embedded broker. KAFKA_PROPERTY_* apply.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) brokers: Option<String>,
    /// Port of the MCP server on 127.0.0.1; 0 is any free one.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
}

/// Work with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Put jobs on a Kafka topic.
    Submit(SubmitOptions),
}

/// Options of `job submit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcp-hybrid job submit --type tool-call --payload '{\"tool\":\"echo\",\"arguments\":{\"text\":\"hi\"}}'
  mcp-hybrid job submit --file jobs.ndjson --wait
  generate-jobs | mcp-hybrid job submit --file -

--file takes job envelopes, one JSON document after the other: {\"jobID\":…,\"jobType\":…,\"payload\":…}.
KAFKA_PROPERTY_* set librdkafka properties, as for the worker (TLS, SASL).
With --wait, exits with 0 if every job succeeded, 1 if one was dead-lettered, 2 if a result did not come in time.")]
pub(crate) struct SubmitOptions {
    /// Brokers, host:port, comma-separated [env: KAFKA_BROKERS].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) brokers: Option<String>,
    /// The topic [env: KAFKA_TOPIC] [default: mcp-jobs].
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// Envelopes from a file, or from standard input with `-`.
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["job_type", "payload", "id"])]
    pub(crate) file: Option<PathBuf>,
    /// The job's type.
    #[arg(long = "type", value_name = "TYPE", requires = "payload")]
    pub(crate) job_type: Option<String>,
    /// The job's payload, as JSON.
    #[arg(long, value_name = "JSON", requires = "job_type")]
    pub(crate) payload: Option<String>,
    /// The job's id; a random one by default.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// The ordering key; the job's id by default.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Wait for the results and print them.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Where the workers write results [env: KAFKA_RESULT_TOPIC].
    #[arg(long, value_name = "TOPIC")]
    pub(crate) result_topic: Option<String>,
    /// How long to wait for results, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Send jobs that a worker would dead-letter at once, too.
    #[arg(long)]
    pub(crate) no_check: bool,
}

/// Options of the demonstration server.
#[derive(Debug, Args)]
pub(crate) struct DemoServerOptions {
    /// The name it introduces itself by.
    #[arg(long, default_value = "demo")]
    pub(crate) name: String,
    /// End with an error this often before starting for real; counted in `--attempts-file`.
    #[arg(long, default_value_t = 0, requires = "attempts_file")]
    pub(crate) fail_first: u32,
    /// Where starts are counted.
    #[arg(long)]
    pub(crate) attempts_file: Option<PathBuf>,
}
