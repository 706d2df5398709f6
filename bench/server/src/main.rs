#![doc = include_str!("../README.md")]

mod bars;
mod bench;
mod call;
mod cli;
mod everything;
mod load;
mod measure;
mod plan;
mod report;
mod results;
mod streams;
mod systems;

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let settings = cli::Settings::parse();
    // Only for the collector of traces: everything else here waits for one thing at a time.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let _within = runtime.enter();
    bench::run(&settings, &runtime)
}
