#![doc = include_str!("../README.md")]

// The corpus of the crate's tests, made in the same way.
#[path = "../../../crates/mcp-svg/tests/it/corpus.rs"]
mod corpus;
mod machine;
mod measure;
mod report;

use std::{fs, io::Write as _, path::Path, thread};

use anyhow::{Context as _, anyhow, ensure};
use clap::Parser;
use machine::Machine;
use mcp_svg::Limits;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Time and memory of mcp-svg for each file of its corpora.
#[derive(Debug, Parser)]
#[command(name = "scripts/bench svg")]
struct Settings {
    /// Runs of each file; the longest counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Print a line for each file, and write no results.
    #[arg(long)]
    all: bool,
    /// The budget of estimated microseconds, to see what a file costs that would be refused; nothing is written.
    #[arg(long)]
    work_us: Option<u64>,
    /// Only files whose name has this in it; nothing is written.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> anyhow::Result<()> {
    let settings = Settings::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let machine = Machine::read(&root);
    let corpus = root.join("crates/mcp-svg/tests/corpus");
    let sets = [
        ("hostile", corpus::files(&corpus.join("hostile"))),
        ("made", corpus::made()),
        ("ordinary", corpus::files(&corpus.join("ordinary"))),
    ];
    let mut limits = Limits::default();
    if let Some(budget) = settings.work_us {
        limits.work_us = budget;
        limits.surface_bytes = 512 * 1024 * 1024;
    }
    let mut rows = Vec::new();
    for (set, cases) in sets {
        let cases = cases
            .into_iter()
            .filter(|case| case.name.contains(&settings.only));
        for case in cases {
            // A thread of its own has a stack of the default size, unlike the main thread.
            let (only, runs) = (case.name.clone(), settings.runs);
            let limits = limits.clone();
            let row = thread::spawn(move || measure::row(set, &case, runs, &limits, &ALLOCATOR))
                .join()
                .map_err(|_| anyhow!("{only}: it panicked"))?;
            rows.push(row);
        }
    }
    let bars = report::bars(&rows);
    let text = report::markdown(&rows, &bars, &machine, settings.all);
    writeln!(std::io::stdout(), "{text}")?;
    if settings.only.is_empty() && !settings.all && settings.work_us.is_none() {
        let file = root.join("bench/svg/RESULTS.md");
        fs::write(&file, &text).with_context(|| format!("{} can't be written", file.display()))?;
    }
    ensure!(bars.iter().all(|bar| bar.met), "a bar is missed");
    Ok(())
}
