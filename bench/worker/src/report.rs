//! The tables, in Markdown.

use std::fmt::Write as _;

use bench_kit::machine::Machine;
use bench_kit::numbers::{shown, significant};

use crate::bars::Bar;
use crate::plan::{Row, System};
use crate::results::{Column, Results};

/// A column of a table: its title, what it shows, and with how many decimals.
type Shown = (&'static str, Column, usize);

const LOAD: &[Shown] = &[
    ("jobs/s", Column::JobsPerSecond, 0),
    ("score", Column::Score, 3),
    ("CPU a job, µs", Column::CpuMicros, 1),
    ("peak memory, MiB", Column::PeakMib, 0),
    ("commits/s", Column::CommitsPerSecond, 1),
    ("drain, s", Column::DrainSeconds, 2),
];
const BESIDE: &[Shown] = &[
    ("latency given by the stub, ms", Column::HeldMs, 2),
    ("CPU a call, stub, µs", Column::StubMicros, 1),
    ("body, bytes", Column::BodyBytes, 0),
    ("jobs that came twice", Column::Duplicates, 0),
];
const LATENCY: &[Shown] = &[
    ("median, ms", Column::MedianMs, 2),
    ("p99, ms", Column::P99Ms, 2),
];
const BACKLOG: &[Shown] = &[
    ("peak memory, MiB", Column::PeakMib, 0),
    ("seconds to do all", Column::FinishSeconds, 1),
];
const KILL: &[Shown] = &[
    ("duplicates", Column::Duplicates, 0),
    ("calls open at the kill", Column::OpenAtKill, 0),
    (
        "jobs begun, not committed at the kill",
        Column::UncommittedAtKill,
        0,
    ),
    ("lost", Column::Lost, 0),
];

/// The whole report.
pub(crate) fn markdown(results: &Results, bars: &[Bar], machine: &Machine, runs: u32) -> String {
    let numbers = match runs {
        1 => "One run.".to_owned(),
        _ => format!("Medians of {runs} runs, with the least and the greatest."),
    };
    let mut text = format!(
        "# Results of bench/worker\n\n\
         Written by `{}` on {}, at commit {}.\n\n\
         - {}\n- {}\n- load of the machine before the run: {:.2}\n\n\
         {numbers} What each column means: README.md.\n",
        machine.command,
        machine.date,
        machine.commit,
        machine.hardware,
        machine.versions,
        machine.load
    );
    let load = |row: Row| matches!(row, Row::Load { .. });
    section(&mut text, results, "Under load", load, LOAD);
    section(
        &mut text,
        results,
        "From the producer to the server, at 100 jobs/s",
        |row| row == Row::Latency,
        LATENCY,
    );
    section(
        &mut text,
        results,
        "A backlog of 200,000 jobs, L 100 ms, C 1000",
        |row| row == Row::Backlog,
        BACKLOG,
    );
    section(
        &mut text,
        results,
        "SIGKILL at L 100 ms, C 100, and a second process that goes on",
        |row| row == Row::Kill,
        KILL,
    );
    judged(&mut text, bars);
    section(&mut text, results, "Conditions of the load", load, BESIDE);
    text
}

fn section(
    text: &mut String,
    results: &Results,
    title: &str,
    fits: impl Fn(Row) -> bool,
    columns: &[Shown],
) {
    let cells: Vec<(Row, System)> = results
        .cells()
        .into_iter()
        .filter(|(row, _)| fits(*row))
        .collect();
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
            let _ = write!(
                text,
                " {} |",
                spread.map_or("–".into(), |spread| shown(spread, *digits))
            );
        }
        text.push('\n');
    }
}

fn judged(text: &mut String, bars: &[Bar]) {
    text.push_str("\n## The bars\n\n| what | bar | measured, worst row | |\n|---|---|---|---|\n");
    for bar in bars {
        let measured = bar.worst.map_or("–".to_owned(), |(value, row)| {
            format!("{}{} ({row})", significant(value), bar.unit)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bars::judge;
    use crate::results::Sample;

    #[test]
    fn a_report_shows_median_and_spread_and_leaves_out_what_was_not_measured() {
        let sample = |value| Sample {
            row: Row::Backlog,
            system: System::Ours,
            values: vec![(Column::PeakMib, value)],
        };
        let results = Results(vec![sample(50.0), sample(70.0), sample(60.0)]);
        let machine = Machine {
            date: "today".into(),
            commit: "abc".into(),
            hardware: "2 cores".into(),
            load: 0.0,
            versions: "1".into(),
            command: "scripts/bench worker".into(),
        };
        let text = markdown(&results, &judge(&results), &machine, 3);
        assert!(
            text.contains("| backlog | kafka-worker | 60 (50–70) | – |"),
            "{text}"
        );
        assert!(
            text.contains("| ≤ 96 MiB | 60.0 MiB (backlog) | met |"),
            "{text}"
        );
        assert!(!text.contains("## Under load"), "{text}");
        assert!(text.contains("not measured"), "{text}");
    }
}
