//! The server's process: launcher, parse, telemetry, configuration, build, run, drain by a deadline.

use std::process::ExitCode;

use anyhow::Context as _;
use mcp_runtime::{Telemetry, Vars, signals};
use mcp_server::{App, ServerConfig};
use tokio::net::TcpListener;

mod cli;

fn main() -> ExitCode {
    // Before any thread exists: this process may be meant as the launcher of a stdio server.
    mcp_sandbox::launcher::run_if_requested();
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
    let stop = signals::stop_token()?;
    let (bind, port) = (config.bind, config.port);
    let listener = TcpListener::bind((bind, port)).await.with_context(|| {
        format!("PORT={port}: {bind}:{port} can't be bound; choose another, or 0 for any free one")
    })?;
    let commands: Vec<_> = config.policy.command_names().collect();
    tracing::info!(address = %listener.local_addr()?, callers = config.callers(), ?commands, "mcp-server {}", env!("CARGO_PKG_VERSION"));
    let app = App::new(&config, telemetry.metrics());
    let result = mcp_server::run(listener, app, stop).await;
    telemetry.shutdown();
    result
}
