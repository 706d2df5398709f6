//! The command line.

use std::path::PathBuf;

use crate::floor::FloorOptions;
use crate::plan::{Filter, System};

/// Measures kafka-worker beside Confluent Parallel Consumer and a plain loop, on a Kafka of its own.
///
/// A full run takes about half an hour and writes bench/worker/RESULTS.md. A part of it prints its tables only.
#[derive(Debug, clap::Parser)]
#[command(
    name = "scripts/bench worker",
    version,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) part: Option<Part>,
}

/// What to measure, and how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Settings {
    /// Only these systems, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SYSTEMS")]
    pub(crate) only: Vec<System>,
    /// Only these rows, comma-separated: names (L10-C100-key, latency, backlog, kill) or parts of them (L0, C1000, L0-key)
    #[arg(long, value_delimiter = ',', value_name = "ROWS")]
    pub(crate) rows: Vec<Filter>,
    /// How often each cell is measured [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) runs: Option<u32>,
    /// One run with short windows: a look, not a measurement
    #[arg(long)]
    pub(crate) quick: bool,
    /// Where to write the tables; a full run writes bench/worker/RESULTS.md without being told
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// The programs of a cell that are this binary too.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Part {
    /// The stub server: answers after a fixed time
    #[command(hide = true)]
    Stub {
        /// That time, in milliseconds
        #[arg(long)]
        latency_ms: u64,
    },
    /// The floor: a plain rdkafka and reqwest loop
    #[command(hide = true)]
    Floor(FloorOptions),
}
