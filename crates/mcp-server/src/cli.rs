//! The command line of the server: help that teaches, errors in one line.

use std::process::ExitCode;

/// Serves MCP tools, statelessly: any replica answers any request, in any version of the protocol since 2025-03-26.
#[derive(Debug, clap::Parser)]
#[command(name = "mcp-server", version, about, after_help = VARIABLES)]
pub(crate) struct Cli {}

const VARIABLES: &str = "\
All settings are environment variables (default):
  BIND, PORT               address (127.0.0.1) and port (8080); beyond loopback only with MCP_AUTH=none
  MCP_AUTH                 none: every caller is let in (not set)
  MCP_ALLOWED_HOSTS        what the Host header may name, comma-separated, or * (loopback)
  MCP_ALLOWED_ORIGINS      what a browser's Origin header may name, comma-separated, or * (loopback)
  MCP_LAUNCH_POLICY        file that names what server_initialize may start and connect to (deny all)
  MCP_ALLOWED_COMMANDS     shorthand for it: command names, comma-separated, found once at start
  MCP_ENV_DIR              with the shorthand: where envFile files lie (none)
  MCP_WORK_DIR             with the shorthand: working directory of started servers (a private, empty one)
  REDIS_URL                Redis through which replicas reach each other (none: each is alone)
  MCP_STATE_KEY            or MCP_STATE_KEY_FILE: signs what clients carry along, the same at every replica
                           (with REDIS_URL one that is kept there, else a new one at each start)
  MCP_MAX_STREAMS          event streams open at once (16384)
  MCP_DRAIN_MS             on SIGTERM, calls under way may finish for so long (25000)
  RUST_LOG, LOG_FORMAT     level or target=level list (info); text or json (text)
  OTEL_EXPORTER_OTLP_ENDPOINT and OpenTelemetry's other names: traces over OTLP/HTTP (off)

Routes: POST /mcp and POST /message (MCP), GET /sse with POST /message?sessionId= (MCP of 2024-11-05),
GET /health, /ready, /metrics.

Example:
  MCP_ALLOWED_COMMANDS=uvx,npx mcp-server";

/// Prints the error in one line.
#[expect(
    clippy::print_stderr,
    reason = "errors of the start come before logging does"
)]
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("mcp-server: {error:#}");
    ExitCode::FAILURE
}
