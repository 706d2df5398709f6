#![doc = include_str!("../README.md")]

mod changelog;
mod chaos;
mod dist;
mod origin;
mod sbom;

use std::process::ExitCode;

use clap::Parser;

/// Tasks for those who develop this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
enum Task {
    Chaos(chaos::Options),
    Dist(dist::Options),
    Sbom(sbom::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let (name, outcome) = match Task::parse() {
        Task::Chaos(options) => ("chaos", chaos::run(options).await),
        Task::Dist(options) => ("dist", dist::run(&options).map(|()| true)),
        Task::Sbom(options) => ("sbom", sbom::run(&options).map(|()| true)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            chaos::say(&format!("{name}: {error:#}"));
            ExitCode::from(2)
        }
    }
}
