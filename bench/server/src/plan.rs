//! What is measured: systems, rows, and how long.

use std::fmt;
use std::time::Duration;

use crate::cli::Settings;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum System {
    /// mcp-server with a tool that echoes
    Ours,
    /// The binary of mcp-server as it is shipped; only its start and its memory
    #[value(skip)]
    Shipped,
    /// rmcp's own stateless service
    Rmcp,
    /// axum, reading and writing JSON
    Floor,
    /// The Go SDK's stateless handler
    Go,
    /// Python's FastMCP
    Fastmcp,
}

impl System {
    /// All that answer calls.
    pub(crate) const CALLED: [Self; 5] =
        [Self::Ours, Self::Rmcp, Self::Floor, Self::Go, Self::Fastmcp];

    /// Its name in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "mcp-server",
            Self::Shipped => "mcp-server, as shipped",
            Self::Rmcp => "rmcp",
            Self::Floor => "floor",
            Self::Go => "Go SDK",
            Self::Fastmcp => "FastMCP",
        }
    }
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Era {
    /// Each request says all there is to know
    #[value(name = "2026-07-28")]
    Modern,
    /// As clients speak it that know initialize
    #[value(name = "2025-11-25")]
    Legacy,
}

impl Era {
    pub(crate) const ALL: [Self; 2] = [Self::Modern, Self::Legacy];

    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::Modern => "2026-07-28",
            Self::Legacy => "2025-11-25",
        }
    }
}

/// A row of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    /// Calls of a tool, one after the other on each connection.
    Calls { era: Era, connections: u32 },
    /// Start and memory of the process.
    Process,
    /// Event streams that are held open.
    Streams,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls { era, connections } => {
                let plural = if *connections == 1 { "" } else { "s" };
                write!(f, "{}, {connections} connection{plural}", era.version())
            }
            Self::Process => f.write_str("process"),
            Self::Streams => f.write_str("streams"),
        }
    }
}

/// The connections of the row that the bars are about, and that is measured at half of the maximum, too.
pub(crate) const PACED: u32 = 16;
const CONNECTIONS: [u32; 3] = [1, PACED, 64];
/// So many calls and streams the bars ask for.
pub(crate) const CALLS: u64 = 1_000_000;
pub(crate) const STREAMS: u32 = 10_000;
const RUNS: u32 = 3;
/// How many times as long as others mcp-server may take for its calls.
const OURS: u32 = 15;

/// What one run is.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) systems: Vec<System>,
    pub(crate) rows: Vec<(Era, u32)>,
    pub(crate) runs: u32,
    pub(crate) calls: u64,
    pub(crate) streams: u32,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    patience: Duration,
    /// Nothing was left out.
    pub(crate) full: bool,
}

impl Plan {
    pub(crate) fn new(settings: &Settings) -> Self {
        let systems = chosen(&System::CALLED, &settings.only);
        let mut rows = Vec::new();
        for era in chosen(&Era::ALL, &settings.eras) {
            let connections = match &settings.connections[..] {
                [] => &CONNECTIONS[..],
                named => named,
            };
            rows.extend(connections.iter().map(|connections| (era, *connections)));
        }
        let (runs, calls, streams) = match settings.quick {
            true => (1, 20_000, 1_000),
            false => (RUNS, CALLS, STREAMS),
        };
        let (warm_up, window, patience) = match settings.quick {
            true => (300, 1_000, 2_000),
            false => (1_000, 4_000, 20_000),
        };
        let everything = settings.only.is_empty()
            && settings.eras.is_empty()
            && settings.connections.is_empty()
            && settings.without.is_empty()
            && settings.calls.is_none_or(|calls| calls >= CALLS)
            && settings.streams.is_none_or(|streams| streams >= STREAMS);
        Self {
            systems,
            rows,
            runs: settings.runs.unwrap_or(runs),
            calls: settings.calls.unwrap_or(calls),
            streams: settings.streams.unwrap_or(streams),
            warm_up: Duration::from_millis(warm_up),
            window: Duration::from_millis(window),
            patience: Duration::from_millis(patience),
            full: everything && !settings.quick,
        }
    }

    /// What the calls up to `calls` may take. A bar is about mcp-server's: it gets to all of them, however slow it is.
    pub(crate) fn patience(&self, system: System) -> Duration {
        match system {
            System::Ours => self.patience * OURS,
            _ => self.patience,
        }
    }
}

/// Those that were named, or all.
fn chosen<T: Copy + PartialEq>(all: &[T], named: &[T]) -> Vec<T> {
    let is_named = |one: &&T| named.is_empty() || named.contains(*one);
    all.iter().filter(is_named).copied().collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn plan(arguments: &[&str]) -> Plan {
        Plan::new(&Settings::parse_from([&["bench"], arguments].concat()))
    }

    #[test]
    fn without_arguments_all_is_measured() {
        let plan = plan(&[]);
        assert_eq!((plan.systems.len(), plan.rows.len(), plan.runs), (5, 6, 3));
        assert!(plan.full);
    }

    #[test]
    fn what_leaves_something_out_is_no_full_run() {
        for arguments in [
            &["--quick"][..],
            &["--only", "ours"],
            &["--eras", "2025-11-25"],
            &["--connections", "16"],
            &["--without", "audit"],
            &["--calls", "10"],
            &["--streams", "0"],
        ] {
            assert!(!plan(arguments).full, "{arguments:?}");
        }
        assert_eq!(plan(&["--eras", "2025-11-25"]).rows.len(), 3);
    }
}
