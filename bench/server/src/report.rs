//! The tables, in Markdown.

use std::fmt::Write as _;

use bench_kit::machine::Machine;
use bench_kit::numbers::{shown, significant};

use crate::bars::Bar;
use crate::plan::{PACED, Row, System};
use crate::results::{Column, Results, Sample};

/// A column of a table: its title, what it shows, and with how many decimals.
type Shown = (&'static str, Column, usize);

const CALLS: &[Shown] = &[
    ("requests/s", Column::PerSecond, 0),
    ("CPU a request, µs", Column::CpuMicros, 1),
    ("p50, µs", Column::MedianMicros, 0),
    ("p99, µs", Column::P99Micros, 0),
];
const PACED_CALLS: &[Shown] = &[
    ("requests/s", Column::PacedPerSecond, 0),
    ("p50, µs", Column::PacedMedianMicros, 0),
    ("p99, µs", Column::PacedP99Micros, 0),
];
const PROCESS: &[Shown] = &[
    ("start to the first answer, ms", Column::StartMs, 1),
    ("RSS idle, MiB", Column::IdleMib, 1),
    ("RSS after calls, MiB", Column::AfterMib, 1),
    ("calls", Column::Calls, 0),
];
const STREAMS: &[Shown] = &[
    ("streams", Column::Streams, 0),
    ("RSS of each, KiB", Column::StreamKib, 1),
    ("answered over them", Column::StreamsAnswered, 2),
    ("requests/s meanwhile", Column::StreamsPerSecond, 0),
    ("p99 meanwhile, µs", Column::StreamsP99Micros, 0),
];
const LOAD: &[Shown] = &[
    ("CPU a request, load, µs", Column::LoadMicros, 1),
    ("of one core", Column::LoadShare, 2),
];
/// From this part of a core on, the load may be what ends the climb.
const LIMIT: f64 = 0.95;

/// The whole report.
pub(crate) fn markdown(
    results: &Results,
    bars: &[Bar],
    machine: &Machine,
    notes: &[String],
    runs: u32,
) -> String {
    let numbers = match runs {
        1 => "One run.".to_owned(),
        _ => format!("Medians of {runs} runs, with the least and the greatest."),
    };
    let mut text = format!(
        "# Results of bench/server\n\n\
         Written by `{}` on {}, at commit {}.\n\n\
         - {}\n- {}\n- load of the machine before the run: {:.2}\n",
        machine.command,
        machine.date,
        machine.commit,
        machine.hardware,
        machine.versions,
        machine.load
    );
    for note in notes {
        let _ = writeln!(text, "- {note}");
    }
    let _ = writeln!(text, "\n{numbers} What each column means: README.md.");
    let called = |row: Row| matches!(row, Row::Calls { .. });
    let paced = |row: Row| matches!(row, Row::Calls { connections, .. } if connections == PACED);
    let process = |row| row == Row::Process;
    let streams = |row| row == Row::Streams;
    section(&mut text, results, "Calls of a tool", called, CALLS);
    let title = "The same, paced at half of each one's maximum";
    section(&mut text, results, title, paced, PACED_CALLS);
    section(&mut text, results, "The process", process, PROCESS);
    section(&mut text, results, "Event streams", streams, STREAMS);
    judged(&mut text, bars);
    let title = "What the load itself took";
    section(&mut text, results, title, called, LOAD);
    limited(&mut text, results);
    text
}

fn section(
    text: &mut String,
    results: &Results,
    title: &str,
    fits: impl Fn(Row) -> bool,
    columns: &[Shown],
) {
    let cells = results.cells().into_iter();
    let cells: Vec<(Row, System)> = cells.filter(|(row, _)| fits(*row)).collect();
    if cells.is_empty() {
        return;
    }
    let _ = write!(text, "\n## {title}\n\n| row | system |");
    for (title, ..) in columns {
        let _ = write!(text, " {title} |");
    }
    let _ = write!(text, "\n|---|---|{}\n", "---:|".repeat(columns.len()));
    for (row, system) in cells {
        let _ = write!(text, "| {row} | {} |", system.name());
        for (_, column, digits) in columns {
            let spread = results.spread(row, system, *column);
            let spread = spread.map_or("–".into(), |spread| shown(spread, *digits));
            let _ = write!(text, " {spread} |");
        }
        text.push('\n');
    }
}

fn judged(text: &mut String, bars: &[Bar]) {
    text.push_str(
        "\n## The bars\n\n| what | bar | measured, worst median | |\n|---|---|---|---|\n",
    );
    for bar in bars {
        let measured = bar.worst.as_ref().map_or("–".to_owned(), |(value, of)| {
            let of = match &of[..] {
                "" => String::new(),
                of => format!(" ({of})"),
            };
            format!("{}{}{of}", significant(*value), bar.unit)
        });
        let verdict = match bar.met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "not measured",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {measured} | {verdict} |",
            bar.what, bar.bar
        );
    }
}

/// Says where the load was at its own limit.
fn limited(text: &mut String, results: &Results) {
    for (row, system) in results.cells() {
        let share = results.spread(row, system, Column::LoadShare);
        if share.is_some_and(|share| share.max >= LIMIT) {
            let _ = writeln!(
                text,
                "\n{row}, {}: the load had no processor time left, so this system may answer more requests/s than that.",
                system.name()
            );
        }
    }
}

/// One line for whoever watches.
pub(crate) fn summary(sample: &Sample) -> String {
    let at_half = PACED_CALLS.iter().map(|shown| ("at half: ", shown));
    let rest = [CALLS, PROCESS, STREAMS, LOAD].into_iter().flatten();
    let columns = rest.map(|shown| ("", shown)).chain(at_half);
    let parts = columns.filter_map(|(label, (title, column, digits))| {
        let value = sample.value(*column)?;
        Some(format!("{label}{title} {value:.digits$}"))
    });
    parts.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::judge;
    use crate::plan::Era;

    fn machine() -> Machine {
        Machine {
            date: "today".into(),
            commit: "abc".into(),
            hardware: "2 cores".into(),
            load: 0.0,
            versions: "1".into(),
            command: "scripts/bench server".into(),
        }
    }

    #[test]
    fn a_report_shows_median_and_spread_and_leaves_out_what_was_not_measured() {
        let sample = |run, value| Sample {
            run,
            row: Row::Process,
            system: System::Ours,
            values: vec![(Column::StartMs, value)],
        };
        let results = Results(vec![sample(1, 50.0), sample(2, 70.0), sample(3, 60.0)]);
        let notes = ["FastMCP is not measured".to_owned()];
        let text = markdown(&results, &judge(&results), &machine(), &notes, 3);
        for part in [
            "| process | mcp-server | 60.0 (50.0–70.0) | – |",
            "| ≤ 100 ms | 60.0 ms (mcp-server) | met |",
            "- FastMCP is not measured\n",
            "not measured |",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("## Calls of a tool"), "{text}");
    }

    #[test]
    fn a_load_at_its_limit_is_told_of() {
        let row = Row::Calls {
            era: Era::Modern,
            connections: 64,
        };
        let sample = |system, share| Sample {
            run: 1,
            row,
            system,
            values: vec![(Column::LoadShare, share)],
        };
        let results = Results(vec![sample(System::Floor, 0.99), sample(System::Ours, 0.6)]);
        let mut text = String::new();
        limited(&mut text, &results);
        assert!(text.contains("2026-07-28, 64 connections, floor: the load had no"));
        assert!(!text.contains("mcp-server"), "{text}");
    }
}
