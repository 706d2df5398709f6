#![doc = include_str!("../README.md")]

mod changelog;
mod chaos;
mod dist;
mod docs;
mod origin;
mod sbom;

use std::process::ExitCode;

use clap::Parser;

/// Tasks for those who develop this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
enum Task {
    Chaos(Box<chaos::Options>),
    Dist(dist::Options),
    Docs(docs::Options),
    Sbom(sbom::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Task::parse() {
        Task::Chaos(options) => chaos::run(*options).await,
        Task::Dist(options) => dist::run(&options).map(|()| true),
        Task::Docs(options) => docs::run(&mcp_testkit::fetched::repository(), &options),
        Task::Sbom(options) => sbom::run(&options).map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            chaos::say(&format!("xtask: {error:#}"));
            ExitCode::from(2)
        }
    }
}
