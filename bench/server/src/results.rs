//! What was measured.

use bench_kit::statistics::Spread;

use crate::plan::{Row, System};

/// A number that a cell gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    PerSecond,
    CpuMicros,
    MedianMicros,
    P99Micros,
    /// Calls a second of the window at half of the maximum, and how long they took.
    PacedPerSecond,
    PacedMedianMicros,
    PacedP99Micros,
    /// The load's own processor time: a call, and as a part of one core.
    LoadMicros,
    LoadShare,
    StartMs,
    IdleMib,
    AfterMib,
    /// Calls answered until `AfterMib` was read.
    Calls,
    Streams,
    StreamKib,
    /// Calls answered over the streams, through those asked.
    StreamsAnswered,
    StreamsPerSecond,
    StreamsP99Micros,
}

/// One measurement of a cell.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) run: u32,
    pub(crate) row: Row,
    pub(crate) system: System,
    pub(crate) values: Vec<(Column, f64)>,
}

impl Sample {
    pub(crate) fn value(&self, column: Column) -> Option<f64> {
        let found = self.values.iter().find(|(found, _)| *found == column);
        found.map(|(_, value)| *value)
    }
}

/// All measurements of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results(pub(crate) Vec<Sample>);

impl Results {
    fn of(&self, row: Row, system: System) -> impl Iterator<Item = &Sample> {
        let fits = move |sample: &&Sample| sample.row == row && sample.system == system;
        self.0.iter().filter(fits)
    }

    /// Median and spread of a cell; `None` if it was not measured.
    pub(crate) fn spread(&self, row: Row, system: System, column: Column) -> Option<Spread> {
        let values = self
            .of(row, system)
            .filter_map(|sample| sample.value(column));
        Spread::of(&values.collect::<Vec<_>>())
    }

    pub(crate) fn median(&self, row: Row, system: System, column: Column) -> Option<f64> {
        self.spread(row, system, column).map(|spread| spread.median)
    }

    /// One system's number through another's of the same run; median and spread of all runs.
    pub(crate) fn ratio(
        &self,
        row: Row,
        system: System,
        through: System,
        column: Column,
    ) -> Option<Spread> {
        let ratios = self.of(row, system).filter_map(|sample| {
            let mut others = self.of(row, through);
            let other = others.find(|other| other.run == sample.run)?;
            Some(sample.value(column)? / other.value(column)?)
        });
        Spread::of(&ratios.collect::<Vec<_>>())
    }

    /// Rows and systems that were measured, in the order of the tables.
    pub(crate) fn cells(&self) -> Vec<(Row, System)> {
        let cells = self.0.iter().map(|sample| (sample.row, sample.system));
        let mut cells: Vec<_> = cells.collect();
        cells.sort();
        cells.dedup();
        cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_made_within_a_run() {
        let sample = |run, system, value| Sample {
            run,
            row: Row::Process,
            system,
            values: vec![(Column::StartMs, value)],
        };
        let (ours, floor) = (System::Ours, System::Floor);
        let results = Results(vec![
            sample(1, ours, 10.0),
            sample(1, floor, 5.0),
            sample(2, floor, 100.0),
            sample(2, ours, 300.0),
            sample(3, ours, 1.0),
        ]);
        let ratio = results.ratio(Row::Process, ours, floor, Column::StartMs);
        let ratio = ratio.unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (2.5, 2.0, 3.0));
    }
}
