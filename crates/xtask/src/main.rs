#![doc = include_str!("../README.md")]

mod chaos;

use std::process::ExitCode;

use clap::Parser;

/// Tasks for those who develop this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
enum Task {
    Chaos(chaos::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Task::Chaos(options) = Task::parse();
    match chaos::run(options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            chaos::say(&format!("chaos: {error:#}"));
            ExitCode::from(2)
        }
    }
}
