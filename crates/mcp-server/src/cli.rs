//! The command line of the server: help that teaches, errors in one line.

use std::io::Write as _;
use std::process::ExitCode;

use mcp_runtime::pages::Pages;
use mcp_server::access::NewKey;

/// Serves MCP tools, statelessly: any replica answers any request, in any version of the protocol since 2025-03-26.
#[derive(Debug, clap::Parser)]
#[command(name = "mcp-server", version, about, after_help = VARIABLES)]
pub(crate) struct Cli {
    /// Without one it serves.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What it can do besides serving.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// API keys
    #[command(subcommand)]
    Keys(Keys),
    #[command(flatten)]
    Pages(Pages),
}

/// About API keys.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Keys {
    /// Makes a key: prints it, this once, and then the line for MCP_API_KEYS_FILE
    #[command(after_help = NEW_KEY)]
    New(NewKey),
}

const NEW_KEY: &str = "\
The key goes to the caller (MCP_API_KEY_FILE of a worker; Authorization: Bearer KEY elsewhere), the line into the file
that MCP_API_KEYS_FILE of the server names; a running server takes it up within seconds. The file holds no key.

Scopes: tools:call      tools that ask for none of these
        servers:launch  server_initialize
        svg:generate    generate_svg, refine_svg
        servers:publish publish_server

Example:
  mcp-server keys new --name worker --scope tools:call,servers:launch";

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> ExitCode {
        let done = match self {
            Self::Keys(Keys::New(flags)) => flags.make().and_then(|(key, line)| {
                let mut out = std::io::stdout();
                writeln!(out, "{key}\n{line}")?;
                Ok(out.flush()?)
            }),
            Self::Pages(pages) => pages.run::<Cli>().map_err(anyhow::Error::from),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        }
    }
}

const VARIABLES: &str = "\
All settings are environment variables (default):
  BIND, PORT               address (127.0.0.1) and port (8080); beyond loopback only with keys or MCP_AUTH=none
  MCP_API_KEYS_FILE        file of API keys, a line each; taken up anew when it changes. mcp-server keys new makes a line
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
  MCP_MAX_STREAMS          event streams open at once, subscriptions among them (16384)
  MCP_DRAIN_MS             on SIGTERM, calls under way may finish for so long (25000)
  MCP_KEY_RATE, MCP_KEY_BURST, MCP_KEY_CONCURRENCY
                           calls a second, at once after a pause, and under way, of a key whose line says no other
                           (0, no limit)
  MCP_MAX_IN_FLIGHT        requests under way; more are answered 503 with Retry-After (1024)
  MCP_MAX_CONNECTIONS      open connections; more are closed, with 503 (16384)
  MCP_MAX_BODY_BYTES       largest body of a request (4194304)
  MCP_MAX_BODY_BYTES_IN_FLIGHT  all bodies under way; more are answered 503 with Retry-After (67108864)
  MCP_TOOL_TIMEOUT_MS      longest call: for all tools, and tool=MS for single ones, comma-separated (300000)
  MCP_AUDIT_LOG            a JSON line for each call: stderr, stdout, none, or a file (stderr)
  REDIS_URL, REDIS_URL_FILE  shares idempotency keys among replicas; without it, memory (none)
  MCP_IDEMPOTENCY_TTL_MS   how long a repeated key is answered with the stored result (86400000)
  MCP_IDEMPOTENCY_LEASE_MS with Redis: a call whose replica died may run elsewhere after so long (30000)
  MCP_IDEMPOTENCY_MAX_ENTRIES, MCP_IDEMPOTENCY_MAX_BYTES
                           results in memory (100000, 16777216)
  MCP_TLS_CERT_FILE, MCP_TLS_KEY_FILE
                           certificate chain and key in PEM: TLS; taken up anew when they change (none)
  MCP_TLS_CLIENT_CA_FILE   mutual TLS: clients need a certificate of these authorities (none)
  RUST_LOG, LOG_FORMAT     level or target=level list (info); text or json (text)
  OTEL_EXPORTER_OTLP_ENDPOINT and OpenTelemetry's other names: traces over OTLP/HTTP (off)

Routes: POST /mcp and POST /message (MCP), GET /sse with POST /message?sessionId= (MCP of 2024-11-05),
GET /health, /ready, /metrics.

Example:
  MCP_ALLOWED_COMMANDS=uvx,npx mcp-server
  mcp-server keys new --scope tools:call";

/// Prints the error in one line.
#[expect(
    clippy::print_stderr,
    reason = "errors of the start come before logging does"
)]
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("mcp-server: {error:#}");
    ExitCode::FAILURE
}
