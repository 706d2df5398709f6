//! The command line of the server: help that teaches, errors in one line.

use std::io::Write as _;
use std::process::ExitCode;

use mcp_runtime::pages::Pages;
use mcp_runtime::probe::Probe;
use mcp_runtime::{Vars, telemetry};
use mcp_server::access::NewKey;
use mcp_server::variables;

/// Serves MCP tools, statelessly: any replica answers any request, in any version of the protocol since 2025-03-26.
#[derive(Debug, clap::Parser)]
#[command(name = "mcp-server", version, about, after_help = variables())]
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
    /// Asks the server that runs here with the same variables (BIND, PORT) how it is; exit code 0 only when well
    Health(Probe),
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
        let text = match self {
            Self::Keys(Keys::New(flags)) => {
                flags.make().map(|(key, line)| format!("{key}\n{line}"))
            }
            Self::Health(probe) => tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(anyhow::Error::from)
                .and_then(|runtime| runtime.block_on(mcp_server::health(probe, &Vars::from_env()))),
            Self::Pages(pages) => {
                return match pages.run::<Cli>() {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => fail(&error.into()),
                };
            }
        };
        let printed = text.and_then(|text| {
            let mut out = std::io::stdout();
            writeln!(out, "{text}")?;
            Ok(out.flush()?)
        });
        match printed {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        }
    }
}

const ROUTES: &str = "\
Routes: POST /mcp and POST /message (MCP), GET /sse with POST /message?sessionId= (MCP of 2024-11-05),
GET /artifacts/{sha256}.svg, GET /health, /ready, /metrics.

Example:
  MCP_ALLOWED_COMMANDS=uvx,npx mcp-server
  mcp-server keys new --scope tools:call
  mcp-server health --ready";

fn variables() -> String {
    let (own, shared) = (variables::variables().help(), telemetry::variables().help());
    format!("All settings are environment variables (default):\n{own}{shared}\n{ROUTES}")
}

/// Prints the error in one line.
#[expect(
    clippy::print_stderr,
    reason = "errors of the start come before logging does"
)]
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("mcp-server: {error:#}");
    ExitCode::FAILURE
}
