//! The row `kill`: SIGKILL under load, and a second process that goes on.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::sleep;

use super::{Bench, KILL_JOBS};
use crate::plan::{Row, System};
use crate::results::Column;

/// The broker waits for so long until it gives the partitions of the dead to the next. It changes nothing else.
const SHORT_SESSION_MS: u32 = 6_000;

impl Bench {
    pub(super) async fn kill(&mut self, system: System) -> anyhow::Result<Vec<(Column, f64)>> {
        let topic = self.kill.clone();
        let mut cell = self
            .start(Row::Kill, system, &topic, SHORT_SESSION_MS)
            .await?;
        let part = |stats: &crate::stub::Stats| stats.seen > KILL_JOBS as u64 * 2 / 5;
        cell.wait_until("too few jobs come to the stub", part)
            .await?;
        cell.process.kill9();
        let committed = self.kafka.committed(&cell.launch.group, &topic).await;
        let committed: i64 = committed.into_iter().flatten().sum();
        let (latency_ms, ..) = Row::Kill.load();
        sleep(Duration::from_millis(latency_ms * 3)).await;
        let at_kill = cell.stats().await?;
        ensure!(at_kill.seen < KILL_JOBS as u64, "it was killed too late");

        cell.process = self.programs.start(system, &cell.launch)?;
        let after = at_kill.came;
        cell.wait_until("the second process does nothing", |stats| {
            stats.came > after
        })
        .await?;
        // A system that loses jobs never sees them all: it is done when nothing has come for a while.
        let mut last = cell.stats().await?;
        loop {
            sleep(Duration::from_secs(1)).await;
            let stats = cell.stats().await?;
            if stats.came == last.came {
                break;
            }
            last = stats;
        }
        let uncommitted = at_kill.seen as f64 - committed as f64;
        Ok(vec![
            (Column::Duplicates, last.repeated as f64),
            (Column::OpenAtKill, at_kill.abandoned as f64),
            (Column::UncommittedAtKill, uncommitted),
            (Column::Lost, KILL_JOBS as f64 - last.seen as f64),
        ])
    }
}
