//! The cells under load: calls in a window after a warm-up, and what they cost.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bench_kit::statistics::{count, percentile};
use bench_kit::usage::Usage;

use crate::load::{Load, Pattern, Window};
use crate::plan::{Era, PACED, Plan};
use crate::results::Column;
use crate::systems::Running;

/// Part of the highest rate at which latency is measured, too.
const HALF: f64 = 0.5;
/// Calls between two looks at whether there were enough of them.
const CALLS_AT_ONCE: u64 = 20_000;

/// One cell, and the calls that were made for it.
pub(crate) fn calls(
    running: &Running,
    era: Era,
    connections: u32,
    key: &str,
    plan: &Plan,
) -> anyhow::Result<(Vec<(Column, f64)>, u64)> {
    let process = running.process.id();
    let mut load = Load::open(running.call(era, key)?, connections)?;
    let mut calls = load.run(Pattern::steadily(plan.warm_up))?.calls();
    let before = Usage::of(process)?;
    let window = load.run(Pattern::steadily(plan.window))?;
    let used = Usage::of(process)?.cpu_us - before.cpu_us;
    calls += window.calls();
    let made = count(window.took_us.len());
    ensure!(made > 0.0, "no call was answered in the window");
    let per_second = made / window.seconds;
    let mut values = vec![
        (Column::PerSecond, per_second),
        (Column::CpuMicros, used / made),
        (Column::MedianMicros, window.took(50.0)?),
        (Column::P99Micros, window.took(99.0)?),
        (Column::LoadMicros, window.cpu_us / made),
        (Column::LoadShare, window.cpu_us / 1e6 / window.seconds),
    ];
    if connections == PACED {
        let paced = |within| Pattern::Paced {
            per_second: per_second * HALF,
            within,
        };
        calls += load.run(paced(plan.warm_up))?.calls();
        let window = load.run(paced(plan.window))?;
        calls += window.calls();
        values.extend([
            (
                Column::PacedPerSecond,
                count(window.took_us.len()) / window.seconds,
            ),
            (Column::PacedMedianMicros, window.took(50.0)?),
            (Column::PacedP99Micros, window.took(99.0)?),
        ]);
    }
    Ok((values, calls))
}

/// More calls, up to a number or until the patience is at its end; how many there were.
pub(crate) fn more_calls(
    running: &Running,
    key: &str,
    wanted: u64,
    patience: Duration,
) -> anyhow::Result<u64> {
    let mut load = Load::open(running.call(Era::Modern, key)?, PACED)?;
    let (mut made, mut seconds) = (0, 0.0);
    while made < wanted && seconds < patience.as_secs_f64() {
        let window = load.run(Pattern::Steadily {
            within: patience,
            calls_max: (wanted - made).min(CALLS_AT_ONCE),
        })?;
        made += window.calls();
        seconds += window.seconds;
    }
    Ok(made)
}

impl Window {
    pub(crate) fn calls(&self) -> u64 {
        self.took_us.len() as u64
    }

    pub(crate) fn took(&self, percent: f64) -> anyhow::Result<f64> {
        percentile(&self.took_us, percent).context("no call was answered")
    }
}
