//! The row `latency`: how long a job takes from the producer to the server when there is little to do.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bench_kit::clock::monotonic_ns;
use bench_kit::statistics::percentile;
use tokio::time::{MissedTickBehavior, interval};

use super::{Bench, Cell, SESSION_MS};
use crate::jobs::JobProducer;
use crate::plan::{Row, System};
use crate::results::Column;

/// Between two jobs.
const GAP: Duration = Duration::from_millis(10);
/// Jobs that do not count, after the first one has come through.
const WARM_UP: usize = 300;
/// Jobs until the first one must have come through.
const PATIENCE: usize = 6000;

impl Bench {
    pub(super) async fn latency(&mut self, system: System) -> anyhow::Result<Vec<(Column, f64)>> {
        let topic = self.new_topic().await;
        let producer = JobProducer::new(&self.kafka.bootstrap(), true)?;
        let cell = self.start(Row::Latency, system, &topic, SESSION_MS).await?;
        let mut sent = Vec::new();
        let mut ticks = interval(GAP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut end = None;
        while end.is_none_or(|end| sent.len() < end) {
            ticks.tick().await;
            sent.push(monotonic_ns());
            producer.send(&topic, sent.len() - 1)?;
            if end.is_none() && sent.len().is_multiple_of(20) && cell.stats().await?.came > 0 {
                end = Some(sent.len() + WARM_UP + self.pace.trickle);
            }
            ensure!(end.is_some() || sent.len() < PATIENCE, "no job came");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let arrived = arrivals(&cell).await?;
        let from = sent.len() - self.pace.trickle;
        let mut took = Vec::new();
        for (sent, arrived) in sent.iter().zip(arrived).skip(from) {
            ensure!(arrived > 0, "a job did not come within a second");
            took.push(arrived.saturating_sub(*sent) as f64 / 1e6);
        }
        let of = |percent| percentile(&took, percent).context("no job was measured");
        Ok(vec![
            (Column::MedianMs, of(50.0)?),
            (Column::P99Ms, of(99.0)?),
        ])
    }
}

async fn arrivals(cell: &Cell) -> anyhow::Result<Vec<u64>> {
    let url = cell.stats_url.replace("/stats", "/arrivals");
    let text = cell.http.get(url).send().await?.text().await?;
    Ok(serde_json::from_str(&text)?)
}
