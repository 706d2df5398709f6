//! The bars that mcp-server has to reach, and whether it did.

use bench_kit::statistics::count;

use crate::plan::{CALLS, Era, PACED, Row, STREAMS, System};
use crate::results::{Column, Results};

/// A bar, with what was measured against it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) what: String,
    pub(crate) bar: String,
    pub(crate) unit: &'static str,
    /// The worst median of those that it is about, and of what; `None` if none was measured.
    pub(crate) worst: Option<(f64, String)>,
    pub(crate) met: Option<bool>,
}

/// All bars, with the medians that were measured.
pub(crate) fn judge(results: &Results) -> Vec<Bar> {
    let through = |other, column| {
        let ratios = Era::ALL.into_iter().filter_map(move |era| {
            let row = Row::Calls {
                era,
                connections: PACED,
            };
            let ratio = results.ratio(row, System::Ours, other, column)?;
            Some((ratio.median, era.version().to_owned()))
        });
        ratios.collect::<Vec<_>>()
    };
    let process = |column| {
        let systems = [System::Shipped, System::Ours].into_iter();
        let medians = systems.filter_map(move |system| {
            let median = results.median(Row::Process, system, column)?;
            Some((median, system.name().to_owned()))
        });
        medians.collect::<Vec<_>>()
    };
    let streams = |column| {
        let open = results.median(Row::Streams, System::Ours, Column::Streams);
        let enough = open.is_some_and(|open| open >= f64::from(STREAMS));
        let value = results.median(Row::Streams, System::Ours, column);
        let value = value.filter(|_| enough);
        value
            .map(|value| (value, String::new()))
            .into_iter()
            .collect()
    };
    // Of memory after fewer calls the bar says nothing.
    let calls = results.spread(Row::Process, System::Ours, Column::Calls);
    let enough = calls.is_some_and(|calls| calls.min >= CALLS as f64);
    let mut after = process(Column::AfterMib);
    after.retain(|_| enough);
    vec![
        at_most(
            "CPU a call at 16 connections, through the floor's",
            2.0,
            "×",
            through(System::Floor, Column::CpuMicros),
        ),
        at_most(
            "the same, through rmcp's",
            0.6,
            "×",
            through(System::Rmcp, Column::CpuMicros),
        ),
        at_most(
            "p99 at 16 connections and half of the maximum, through the floor's",
            2.0,
            "×",
            through(System::Floor, Column::PacedP99Micros),
        ),
        at_most(
            "start to the first answer",
            100.0,
            " ms",
            process(Column::StartMs),
        ),
        at_most(
            "resident memory, idle",
            25.0,
            " MiB",
            process(Column::IdleMib),
        ),
        at_most("the same after a million calls", 64.0, " MiB", after),
        at_most(
            "memory of each of 10,000 event streams",
            16.0,
            " KiB",
            streams(Column::StreamKib),
        ),
        answered(streams(Column::StreamsAnswered)),
    ]
}

fn at_most(what: &str, limit: f64, unit: &'static str, values: Vec<(f64, String)>) -> Bar {
    let worst = values.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
    Bar {
        what: what.to_owned(),
        bar: format!("≤ {limit}{unit}"),
        unit,
        met: worst.as_ref().map(|(value, _)| *value <= limit),
        worst,
    }
}

fn answered(values: Vec<(f64, String)>) -> Bar {
    let worst = values.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    Bar {
        what: "calls answered meanwhile, through those made".to_owned(),
        bar: "all".to_owned(),
        unit: "",
        met: worst.as_ref().map(|(value, _)| *value >= count(1)),
        worst,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Sample;

    fn calls(system: System, era: Era, micros: f64) -> Sample {
        Sample {
            run: 1,
            row: Row::Calls {
                era,
                connections: PACED,
            },
            system,
            values: vec![(Column::CpuMicros, micros)],
        }
    }

    fn process(calls: f64, mib: f64) -> Results {
        Results(vec![Sample {
            run: 1,
            row: Row::Process,
            system: System::Ours,
            values: vec![(Column::Calls, calls), (Column::AfterMib, mib)],
        }])
    }

    fn met(results: &Results, what: &str) -> Option<bool> {
        let bars = judge(results);
        bars.iter().find(|bar| bar.what == what).unwrap().met
    }

    #[test]
    fn the_worse_era_decides() {
        let results = Results(vec![
            calls(System::Ours, Era::Modern, 25.0),
            calls(System::Floor, Era::Modern, 10.0),
            calls(System::Ours, Era::Legacy, 15.0),
            calls(System::Floor, Era::Legacy, 10.0),
        ]);
        let bar = &judge(&results)[0];
        assert_eq!(bar.worst, Some((2.5, "2026-07-28".to_owned())));
        assert_eq!((bar.met, judge(&results)[1].met), (Some(false), None));
    }

    #[test]
    fn memory_after_a_million_calls_is_judged_after_a_million_calls() {
        let what = "the same after a million calls";
        assert_eq!(met(&process(999_999.0, 10.0), what), None);
        assert_eq!(met(&process(1_000_000.0, 10.0), what), Some(true));
        assert_eq!(met(&process(1_000_000.0, 65.0), what), Some(false));
    }
}
