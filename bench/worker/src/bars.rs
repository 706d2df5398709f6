//! The bars that kafka-worker has to reach, and whether it did.

use crate::plan::{Row, System};
use crate::results::{Column, Results};

/// A bar, with what was measured against it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) what: String,
    pub(crate) bar: String,
    /// The worst of the rows that it is about, with that row; `None` if none was measured.
    pub(crate) worst: Option<(f64, Row)>,
    pub(crate) met: Option<bool>,
    pub(crate) unit: &'static str,
}

/// Whether a number should be high or low.
#[derive(Clone, Copy)]
enum Side {
    AtLeast,
    AtMost,
}

/// All bars, with the medians that were measured.
pub(crate) fn judge(results: &Results) -> Vec<Bar> {
    use Column::{CommitsPerSecond, CpuMicros, JobsPerSecond, PeakMib, Score};
    use Side::{AtLeast, AtMost};
    let ours = |column| move |row| results.median(row, System::Ours, column);
    let ratio = |column| {
        move |row| {
            let ours = results.median(row, System::Ours, column)?;
            let theirs = results.median(row, System::Pc, column)?;
            Some(ours / theirs)
        }
    };
    let any = |_: u64, _: usize| true;
    let at_zero = |latency: u64, _: usize| latency == 0;
    let at =
        |l: u64, c: usize| move |latency: u64, concurrency: usize| (latency, concurrency) == (l, c);
    let loads = |fits: &dyn Fn(u64, usize) -> bool| -> Vec<Row> {
        let loads = Row::all()
            .into_iter()
            .filter(|row| matches!(row, Row::Load { .. }));
        loads
            .filter(|row| {
                let (latency, concurrency, _) = row.load();
                fits(latency, concurrency)
            })
            .collect()
    };
    let kill = |column| {
        move |row| {
            let duplicates = results.median(row, System::Ours, Column::Duplicates)?;
            let in_flight = results.median(row, System::Ours, column)?;
            Some(duplicates / in_flight.max(1.0))
        }
    };
    vec![
        bar(
            "score at C 100, L 10 ms",
            AtLeast,
            0.95,
            "",
            &loads(&at(10, 100)),
            &ours(Score),
        ),
        bar(
            "score at C 100, L 100 ms",
            AtLeast,
            0.95,
            "",
            &loads(&at(100, 100)),
            &ours(Score),
        ),
        bar(
            "score at C 1000, L 100 ms",
            AtLeast,
            0.90,
            "",
            &loads(&at(100, 1000)),
            &ours(Score),
        ),
        bar(
            "CPU a job at L 0",
            AtMost,
            40.0,
            " µs",
            &loads(&at_zero),
            &ours(CpuMicros),
        ),
        bar(
            "CPU a job at L 0, through Parallel Consumer's",
            AtMost,
            0.25,
            "×",
            &loads(&at_zero),
            &ratio(CpuMicros),
        ),
        bar(
            "throughput through Parallel Consumer's",
            AtLeast,
            1.0,
            "×",
            &loads(&any),
            &ratio(JobsPerSecond),
        ),
        bar(
            "the same at L 0",
            AtLeast,
            2.0,
            "×",
            &loads(&at_zero),
            &ratio(JobsPerSecond),
        ),
        bar(
            "peak memory with 200,000 waiting, C 1000",
            AtMost,
            96.0,
            " MiB",
            &[Row::Backlog],
            &ours(PeakMib),
        ),
        bar(
            "commits a second",
            AtMost,
            2.0,
            "",
            &loads(&any),
            &ours(CommitsPerSecond),
        ),
        bar(
            "duplicates after SIGKILL, through the calls still open",
            AtMost,
            1.0,
            "×",
            &[Row::Kill],
            &kill(Column::OpenAtKill),
        ),
    ]
}

fn bar(
    what: &str,
    side: Side,
    limit: f64,
    unit: &'static str,
    rows: &[Row],
    value: &dyn Fn(Row) -> Option<f64>,
) -> Bar {
    let measured = rows.iter().filter_map(|row| Some((value(*row)?, *row)));
    let (worst, sign) = match side {
        Side::AtLeast => (measured.min_by(|a, b| a.0.total_cmp(&b.0)), '≥'),
        Side::AtMost => (measured.max_by(|a, b| a.0.total_cmp(&b.0)), '≤'),
    };
    Bar {
        what: what.to_owned(),
        bar: format!("{sign} {limit}{unit}"),
        worst,
        met: worst.map(|(value, _)| match side {
            Side::AtLeast => value >= limit,
            Side::AtMost => value <= limit,
        }),
        unit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Ordering;
    use crate::results::Sample;

    fn sample(system: System, concurrency: usize, column: Column, value: f64) -> Sample {
        let row = Row::Load {
            latency_ms: 0,
            concurrency,
            ordering: Ordering::Key,
        };
        Sample {
            row,
            system,
            values: vec![(column, value)],
        }
    }

    #[test]
    fn the_worst_row_decides() {
        let results = Results(vec![
            sample(System::Ours, 100, Column::CpuMicros, 30.0),
            sample(System::Ours, 1000, Column::CpuMicros, 50.0),
        ]);
        let bars = judge(&results);
        let cpu = bars.iter().find(|bar| bar.what == "CPU a job at L 0");
        let cpu = cpu.unwrap();
        assert_eq!(cpu.met, Some(false));
        let (worst, row) = cpu.worst.unwrap();
        assert_eq!((worst, row.to_string().as_str()), (50.0, "L0-C1000-key"));
    }

    #[test]
    fn a_bar_over_what_was_not_measured_is_neither_met_nor_missed() {
        let results = Results(vec![sample(System::Ours, 100, Column::JobsPerSecond, 9.0)]);
        assert!(judge(&results).iter().all(|bar| bar.met.is_none()));
        let mut both = results.clone();
        both.0
            .push(sample(System::Pc, 100, Column::JobsPerSecond, 3.0));
        let met = judge(&both)
            .iter()
            .filter(|bar| bar.met == Some(true))
            .count();
        assert_eq!(met, 2);
    }
}
