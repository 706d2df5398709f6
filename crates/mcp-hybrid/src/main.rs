#![doc = include_str!("../README.md")]

mod brokers;
mod cli;
mod demo_server;
mod dev;
mod job;
mod style;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before any thread exists: this process may be meant as the launcher of a stdio server, or to look at an SVG.
    mcp_sandbox::launcher::run_if_requested();
    mcp_sandbox::confined::run_if_requested(&[mcp_server::tools::svg::check::ROLE]);
    let cli: cli::Cli = mcp_runtime::flags::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            runtime.block_on(async {
                match cli.command {
                    cli::Command::Dev(options) => dev::run(options).await,
                    cli::Command::Job(cli::JobCommand::Submit(options)) => {
                        job::submit(options).await
                    }
                    cli::Command::Dlq(command) => {
                        let vars = mcp_runtime::Vars::from_env();
                        Ok(kafka_worker::dlq::run("mcp-hybrid", command, vars).await)
                    }
                    cli::Command::Pages(pages) => {
                        pages.run::<cli::Cli>()?;
                        Ok(ExitCode::SUCCESS)
                    }
                    cli::Command::DemoServer(options) => demo_server::run(options).await,
                }
            })
        });
    outcome.unwrap_or_else(|error| style::fail(&error))
}
