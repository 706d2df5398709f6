//! The whole run: every cell as often as asked, then the tables.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use bench_kit::machine::{Machine, allow_connections};
use bench_kit::progress::{deliver, say};
use mcp_testkit::fetched::repository;

use crate::cli::Settings;
use crate::measure::Bench;
use crate::plan::{Pace, Row, System};
use crate::results::{Column, Results, Sample};
use crate::systems::Programs;
use crate::versions::versions;
use crate::{bars, report};

/// How often each cell is measured by default.
const RUNS: u32 = 3;

/// Measures, and writes the tables.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let systems: Vec<System> = System::ALL
        .into_iter()
        .filter(|system| settings.only.is_empty() || settings.only.contains(system))
        .collect();
    let fits = |row: &Row| settings.rows.iter().any(|filter| filter.fits(*row));
    let rows: Vec<Row> = Row::all()
        .into_iter()
        .filter(|row| settings.rows.is_empty() || fits(row))
        .collect();
    let mut cells = Vec::new();
    for row in &rows {
        let able = systems.iter().filter(|system| row.is_for(**system));
        cells.extend(able.map(|system| (*row, *system)));
    }
    ensure!(
        !cells.is_empty(),
        "the floor has no order: these rows have nothing to measure"
    );
    let (runs, pace) = match settings.quick {
        true => (settings.runs.unwrap_or(1), Pace::QUICK),
        false => (settings.runs.unwrap_or(RUNS), Pace::FULL),
    };
    let full = settings.only.is_empty() && settings.rows.is_empty() && !settings.quick;

    allow_connections();
    let machine = Machine::read("worker", versions());
    machine.warn_if_busy();
    let programs = Programs::find(&systems)?;
    say("starting Kafka, and writing the jobs");
    let mut bench = Bench::prepare(programs, pace, &rows).await?;
    let mut results = Results::default();
    for run in 1..=runs {
        for (number, (row, system)) in cells.iter().enumerate() {
            let sample = bench
                .measure(*row, *system)
                .await
                .with_context(|| format!("{row}, {}", system.name()))?;
            let progress = format!("run {run}/{runs}, {}/{}", number + 1, cells.len());
            say(format_args!(
                "{progress}: {row}, {}: {}",
                system.name(),
                summary(&sample)
            ));
            results.0.push(sample);
        }
    }
    let text = report::markdown(&results, &bars::judge(&results), &machine, runs);
    deliver(&text, settings.out.or(full.then(results_file)).as_deref())
}

fn results_file() -> PathBuf {
    repository().join("bench/worker/RESULTS.md")
}

/// One line for whoever watches.
fn summary(sample: &Sample) -> String {
    let told = [
        (Column::JobsPerSecond, "jobs/s", 0),
        (Column::Score, "of C/L", 3),
        (Column::CpuMicros, "µs CPU a job", 1),
        (Column::MedianMs, "ms median", 2),
        (Column::P99Ms, "ms p99", 2),
        (Column::PeakMib, "MiB peak", 0),
        (Column::FinishSeconds, "s to do all", 1),
        (Column::CommitsPerSecond, "commits/s", 1),
        (Column::DrainSeconds, "s to drain", 2),
        (Column::Duplicates, "duplicates", 0),
        (Column::OpenAtKill, "open at the kill", 0),
        (Column::UncommittedAtKill, "uncommitted at the kill", 0),
        (Column::Lost, "lost", 0),
    ];
    let parts = told.into_iter().filter_map(|(column, unit, digits)| {
        let (_, value) = sample.values.iter().find(|(found, _)| *found == column)?;
        Some(format!("{value:.digits$} {unit}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}
