//! The command line of the worker: help that teaches, errors in one line.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use kafka_worker::dlq::DlqCommand;
use mcp_runtime::pages::Pages;
use tokio::net::TcpListener;

/// Without a command: consumes jobs from Kafka, calls an MCP server for each, and commits an offset only when its job has succeeded or is
/// safely in the dead-letter topic.
#[derive(Debug, clap::Parser)]
#[command(name = "kafka-worker", version, about, after_help = VARIABLES)]
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
    #[command(flatten)]
    Pages(Pages),
}

const VARIABLES: &str = "\
All settings are environment variables (default):
  KAFKA_BROKERS            host:port, comma-separated (required)
  KAFKA_TOPIC              topics to consume, comma-separated (mcp-jobs)
  MCP_CONSUMER_GROUP       consumer group (mcp-workers)
  MCP_SERVER_URL           MCP server; without a path, /message (http://mcp-server:8080)
  MCP_API_KEY[_FILE]       sent as Authorization: Bearer
  KAFKA_DLQ_TOPIC          dead letters ({topic}-dlq)
  KAFKA_RESULT_TOPIC       one record for each finished job (none)
  KAFKA_PROPERTY_*         any librdkafka property: KAFKA_PROPERTY_SASL_USERNAME is sasl.username; also …_FILE
  WORKER_CONCURRENCY       jobs in flight (64)
  WORKER_ORDERING          key, partition or unordered (key)
  WORKER_MAX_ATTEMPTS      attempts of a job (8)
  WORKER_RETRY_BASE_MS     first backoff (200)
  WORKER_RETRY_MAX_MS      longest backoff (30000)
  WORKER_JOB_TIMEOUT_MS    one call (60000)
  WORKER_JOB_DEADLINE_MS   all attempts of a job (900000)
  WORKER_DRAIN_MS          on SIGTERM, jobs in flight may finish for so long (25000)
  WORKER_DLQ_PER_MINUTE    dead letters before intake pauses; 0 is no limit (1000)
  WORKER_WAITING_MAX       jobs that may wait here for a retry, for their time, or behind another job (16384)
  WORKER_STALL_MS          a partition with lag that stands still for so long makes the worker unhealthy (300000)
  WORKER_TOOL_ERROR        a tool error that does not say whether to retry: dead-letter or retry (dead-letter)
  ADMIN_PORT, ADMIN_BIND   /health, /ready, /metrics (9090, 0.0.0.0)
  RUST_LOG, LOG_FORMAT     level or target=level list (info); text or json (text)
  OTEL_EXPORTER_OTLP_ENDPOINT and OpenTelemetry's other names: traces over OTLP/HTTP (off)

Examples:
  KAFKA_BROKERS=localhost:9092 MCP_SERVER_URL=http://localhost:8080 kafka-worker
  KAFKA_BROKERS=localhost:9092 kafka-worker dlq list --since 2h";

/// Binds the admin port.
pub(crate) async fn bind(address: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((address, port))
        .await
        .with_context(|| format!("ADMIN_PORT={port}: {address}:{port} can't be bound; choose another, or 0 for any free one"))
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
