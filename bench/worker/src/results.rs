//! What was measured.

use bench_kit::statistics::Spread;

use crate::plan::{Row, System};

/// A number that a cell gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    JobsPerSecond,
    /// Throughput through what concurrency and latency allow at most.
    Score,
    CpuMicros,
    PeakMib,
    CommitsPerSecond,
    DrainSeconds,
    /// What the stub's latency really was, in milliseconds.
    HeldMs,
    /// The stub's own cost of a call, in microseconds.
    StubMicros,
    BodyBytes,
    MedianMs,
    P99Ms,
    FinishSeconds,
    Duplicates,
    OpenAtKill,
    UncommittedAtKill,
    Lost,
}

/// One measurement of a cell.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) row: Row,
    pub(crate) system: System,
    pub(crate) values: Vec<(Column, f64)>,
}

/// All measurements of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results(pub(crate) Vec<Sample>);

impl Results {
    /// The numbers of a cell, one a run.
    fn values(&self, row: Row, system: System, column: Column) -> Vec<f64> {
        self.0
            .iter()
            .filter(|sample| sample.row == row && sample.system == system)
            .flat_map(|sample| &sample.values)
            .filter(|(found, _)| *found == column)
            .map(|(_, value)| *value)
            .collect()
    }

    /// Median and spread of a cell; `None` if it was not measured.
    pub(crate) fn spread(&self, row: Row, system: System, column: Column) -> Option<Spread> {
        Spread::of(&self.values(row, system, column))
    }

    pub(crate) fn median(&self, row: Row, system: System, column: Column) -> Option<f64> {
        self.spread(row, system, column).map(|spread| spread.median)
    }

    /// Rows and systems that were measured, in the order of the tables.
    pub(crate) fn cells(&self) -> Vec<(Row, System)> {
        let mut cells: Vec<(Row, System)> = self
            .0
            .iter()
            .map(|sample| (sample.row, sample.system))
            .collect();
        cells.sort();
        cells.dedup();
        cells
    }
}
