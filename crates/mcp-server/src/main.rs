//! The server's process: launcher, parse, telemetry, configuration, build, run, drain by a deadline.

use std::process::ExitCode;

use anyhow::Context as _;
use mcp_runtime::{Telemetry, Vars, signals};
use mcp_server::{App, ServerConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;

mod cli;

/// A call is many small allocations on several threads, which is what this one is good at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before any thread exists: this process may be meant as the launcher of a stdio server, or to look at an SVG.
    mcp_sandbox::launcher::run_if_requested();
    mcp_sandbox::confined::run_if_requested(&[mcp_server::tools::svg::check::ROLE]);
    let cli: cli::Cli = mcp_runtime::flags::parse();
    if let Some(command) = cli.command {
        return command.run();
    }
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}

async fn run() -> anyhow::Result<()> {
    let vars = Vars::from_env();
    let config = ServerConfig::from_vars(&vars)?;
    let telemetry = Telemetry::init("mcp-server", &vars)?;
    raise_open_files();
    let stop = signals::stop_token()?;
    let (bind, port) = (config.bind, config.port);
    let listener = TcpListener::bind((bind, port)).await.with_context(|| {
        format!("PORT={port}: {bind}:{port} can't be bound; choose another, or 0 for any free one")
    })?;
    let commands: Vec<_> = config.launching.policy.command_names().collect();
    tracing::info!(address = %listener.local_addr()?, callers = config.callers(), ?commands, database = %config.store.place(), model = config.model(), "mcp-server {}", env!("CARGO_PKG_VERSION"));
    let app = App::new(&config, telemetry.metrics());
    let result = mcp_server::run(listener, app, stop).await;
    telemetry.shutdown();
    result
}

/// Each open stream is an open file, and the usual limit of 1024 is meant to be raised by programs that need more.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, limit = limit.current, "the limit of open files can't be raised");
    }
}
