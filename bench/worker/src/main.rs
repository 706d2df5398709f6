#![doc = include_str!("../README.md")]

mod bars;
mod bench;
mod cli;
mod commits;
mod floor;
mod jobs;
mod measure;
mod plan;
mod report;
mod results;
mod stub;
mod systems;
mod versions;

use clap::Parser as _;

use crate::cli::{Cli, Part};

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.part {
        Some(Part::Stub { latency_ms }) => stub::run(latency_ms),
        Some(Part::Floor(options)) => runtime()?.block_on(floor::run(options)),
        None => runtime()?.block_on(bench::run(cli.settings)),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
