//! The command line.

use std::path::PathBuf;

use crate::everything::Part;
use crate::plan::{Era, System};

/// Measures mcp-server, with everything on, beside rmcp's own service, a bare axum echo, the Go SDK and FastMCP.
///
/// A full run takes about 20 minutes and writes bench/server/RESULTS.md. A part of it prints its tables only.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "scripts/bench server", version)]
pub(crate) struct Settings {
    /// Only these systems, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SYSTEMS")]
    pub(crate) only: Vec<System>,
    /// Only these versions of the protocol, comma-separated
    #[arg(long, value_enum, value_delimiter = ',', value_name = "VERSIONS")]
    pub(crate) eras: Vec<Era>,
    /// Connections, comma-separated [default: 1,16,64]
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) connections: Vec<u32>,
    /// How often each cell is measured [default: 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(crate) runs: Option<u32>,
    /// Calls of a process until its memory is read; 0 leaves that out [default: 1000000]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) calls: Option<u64>,
    /// Event streams that are held open; 0 leaves that out [default: 10000]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=25_000))]
    pub(crate) streams: Option<u32>,
    /// Start mcp-server without these parts of everything, comma-separated, to see what they cost
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    pub(crate) without: Vec<Part>,
    /// One run with short windows: a look, not a measurement
    #[arg(long)]
    pub(crate) quick: bool,
    /// Where to write the tables; a full run writes bench/server/RESULTS.md without being told
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
