//! Rows under load: more jobs wait than can be done.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, sleep};

use super::{Bench, Cell, JOBS, SESSION_MS, Snapshot};
use crate::commits::{OFFSETS_TOPIC, commits};
use crate::plan::{BACKLOG, Row, System};
use crate::results::Column;

/// From this latency on there is something in flight that a drain has to wait for.
const DRAINED_FROM_MS: u64 = 100;

/// With so many jobs done, the topic is nearly empty.
const ENOUGH: u64 = JOBS as u64 / 100 * 97;

impl Bench {
    /// Throughput and cost in a window after the warm-up, and the time to drain.
    pub(super) async fn under_load(
        &mut self,
        row: Row,
        system: System,
    ) -> anyhow::Result<Vec<(Column, f64)>> {
        let topic = self.jobs.clone();
        let mut cell = self.start(row, system, &topic, SESSION_MS).await?;
        cell.wait_for_the_first_job().await?;
        sleep(self.pace.warm_up(system)).await;
        let from = cell.snapshot().await?;
        ensure!(
            from.stats.seen < ENOUGH,
            "the jobs are used up before the window begins: this machine needs more of them"
        );
        let (latency_ms, concurrency, _) = row.load();
        let to = window(&cell, self.pace.window(latency_ms)).await?;
        ensure!(
            to.stats.refused == 0,
            "the stub could not read what it was sent"
        );
        let mut values = between(&from, &to);
        if latency_ms > 0 {
            let most = concurrency as f64 / latency_ms as f64 * 1000.0;
            let rate = values.iter().find(|(c, _)| *c == Column::JobsPerSecond);
            values.extend(rate.map(|(_, rate)| (Column::Score, rate / most)));
        }
        if latency_ms >= DRAINED_FROM_MS {
            values.push((Column::DrainSeconds, cell.terminate().await?));
        }
        cell.process.kill9();
        let records = self.kafka.read_all(OFFSETS_TOPIC).await;
        let made = commits(&records, &cell.launch.group, from.wall_ms, to.wall_ms);
        let seconds = (to.wall_ms - from.wall_ms) as f64 / 1000.0;
        values.push((Column::CommitsPerSecond, made as f64 / seconds));
        Ok(values)
    }

    /// The whole backlog is done, and the peak of memory on the way.
    pub(super) async fn backlog(&mut self, system: System) -> anyhow::Result<Vec<(Column, f64)>> {
        let topic = self.backlog.clone();
        let mut cell = self.start(Row::Backlog, system, &topic, SESSION_MS).await?;
        let first = cell.wait_for_the_first_job().await?;
        let all = |stats: &crate::stub::Stats| stats.seen == BACKLOG as u64;
        let last = cell.wait_until("the backlog is not done", all).await?;
        let usage = cell.snapshot().await?.usage;
        Ok(vec![
            (Column::PeakMib, usage.peak_mib),
            (
                Column::FinishSeconds,
                (last.now_ns - first.now_ns) as f64 / 1e9,
            ),
        ])
    }
}

/// Waits for the window to pass; it is shorter if the jobs come to their end before that.
async fn window(cell: &Cell, window: Duration) -> anyhow::Result<Snapshot> {
    let end = Instant::now() + window;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        sleep(left.min(Duration::from_millis(100))).await;
        if left.is_zero() || cell.stats().await?.seen > ENOUGH {
            return cell.snapshot().await;
        }
    }
}

/// What happened between two moments.
fn between(from: &Snapshot, to: &Snapshot) -> Vec<(Column, f64)> {
    let jobs = (to.stats.answered - from.stats.answered).max(1) as f64;
    let seconds = (to.stats.now_ns - from.stats.now_ns) as f64 / 1e9;
    let held_ms = (to.stats.held_ns - from.stats.held_ns) as f64 / 1e6;
    vec![
        (Column::JobsPerSecond, jobs / seconds),
        (
            Column::CpuMicros,
            (to.usage.cpu_us - from.usage.cpu_us) / jobs,
        ),
        (
            Column::StubMicros,
            (to.stub.cpu_us - from.stub.cpu_us) / jobs,
        ),
        (Column::HeldMs, held_ms / jobs),
        (Column::PeakMib, to.usage.peak_mib),
        (
            Column::BodyBytes,
            to.stats.body_bytes as f64 / to.stats.came.max(1) as f64,
        ),
        (Column::Duplicates, to.stats.repeated as f64),
    ]
}
