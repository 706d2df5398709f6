//! A thread that looks at the partitions from outside: their lag, and whether anything moves.
//!
//! It has a client of its own, because a paused partition is not fetched from, so that the consumer's own idea of the
//! partition's end grows old just when lag matters most; and because a witness that shares the threads of what it
//! watches is none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_runtime::Condition;
use metrics::gauge;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::journal::count;
use crate::kafka::{self, Callbacks, Connection, Quiet};
use crate::metric_definitions as metric;
use crate::signals::Holds;
use crate::watchdog::{Cause, Stall, Standing, Watchdog};

/// Between two looks, unless the watchdog's limit is short.
const INTERVAL: Duration = Duration::from_secs(5);
/// How soon a stop is noticed.
const NAP: Duration = Duration::from_millis(200);
/// For one question to the broker, and for all of one look.
const REQUEST: Duration = Duration::from_secs(2);
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Where the poll thread tells how the partitions stand; cheap to clone.
#[derive(Clone, Debug)]
pub struct Board(Arc<Mutex<(Instant, Vec<Standing>)>>);

impl Default for Board {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), Vec::new()))))
    }
}

impl Board {
    /// Replaces what was told before.
    pub fn post(&self, standings: Vec<Standing>) {
        *self.lock() = (Instant::now(), standings);
    }

    fn read(&self) -> (Instant, Vec<Standing>) {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, (Instant, Vec<Standing>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the partitions until it is stopped.
pub struct Observer {
    client: BaseConsumer<Callbacks>,
    board: Board,
    holds: Holds,
    watchdog: Watchdog,
    limit: Duration,
    interval: Duration,
    live: Condition,
    ready: Condition,
    /// What the log has been told of: a silent poll thread, stalls.
    told: (bool, Vec<(Arc<str>, i32, Cause)>),
    /// The partitions whose lag and stall are published.
    published: HashMap<(Arc<str>, i32), bool>,
}

impl Observer {
    /// Makes its client, which never joins the group. `live` and `ready` hold while everything moves.
    ///
    /// # Errors
    /// A property that librdkafka refuses.
    pub fn new(
        connection: &Connection,
        client_id: &str,
        group: &str,
        limit: Duration,
        board: Board,
        holds: Holds,
        (live, ready): (Condition, Condition),
    ) -> anyhow::Result<Self> {
        let client_id = format!("{client_id}-observer");
        let defaults = [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("isolation.level", "read_committed"),
            ("allow.auto.create.topics", "false"),
        ];
        let mut config = connection.client_config(&client_id, &defaults);
        // It asks for offsets only; what concerns members of the group is not for it.
        config.remove("group.instance.id");
        config.remove("group.protocol");
        config.set("client.id", &client_id);
        let client = config
            .create_with_context(Callbacks(Arc::new(Quiet)))
            .map_err(|error| kafka::creation_error(&error))?;
        live.holds();
        ready.holds();
        Ok(Self {
            client,
            board,
            holds,
            watchdog: Watchdog::new(limit),
            limit,
            interval: INTERVAL.min(limit / 4),
            live,
            ready,
            told: Default::default(),
            published: HashMap::new(),
        })
    }

    /// Looks again and again until `stop`. Blocks; give it a thread of its own.
    pub fn run(mut self, stop: &CancellationToken) {
        let mut next = Instant::now();
        while !stop.is_cancelled() {
            if Instant::now() >= next {
                self.look();
                next = Instant::now() + self.interval;
            }
            std::thread::park_timeout(NAP.min(self.interval));
        }
    }

    fn look(&mut self) {
        let (told, standings) = self.board.read();
        let silent = told.elapsed();
        let lags = self.lags(&standings);
        let observed: Vec<_> = standings.into_iter().zip(lags).collect();
        let stalls = self
            .watchdog
            .observe(Instant::now(), &observed, self.holds.any());
        self.publish(&observed, &stalls);
        tracing::debug!(
            partitions = observed.len(),
            stalls = stalls.len(),
            "the observer has looked"
        );
        let mut reasons: Vec<_> = stalls.iter().map(ToString::to_string).collect();
        let mut curable = stalls.iter().any(|stall| stall.cause == Cause::Unknown);
        if silent >= self.limit {
            let seconds = silent.as_secs();
            reasons.push(format!(
                "the poll thread has not come round for {seconds} s"
            ));
            curable = true;
        }
        let troubles: Vec<_> = stalls
            .iter()
            .map(|stall| (stall.topic.clone(), stall.partition, stall.cause))
            .collect();
        let is_news = self.told != (silent >= self.limit, troubles.clone());
        self.told = (silent >= self.limit, troubles);
        if reasons.is_empty() {
            self.live.holds();
            self.ready.holds();
            return;
        }
        let reason = reasons.join("; ");
        self.ready.fails(&reason);
        if curable {
            self.live.fails(&reason);
        } else {
            self.live.holds();
        }
        if is_news {
            tracing::error!("no progress: {reason}");
        }
    }

    /// The lag of each partition, as far as the broker tells in time.
    fn lags(&self, standings: &[Standing]) -> Vec<Option<u64>> {
        let mut lags = vec![None; standings.len()];
        let committed = match self.committed(standings) {
            Ok(committed) => committed,
            Err(error) => {
                tracing::debug!(%error, "committed offsets");
                return lags;
            }
        };
        let deadline = Instant::now() + LOOK_MAX;
        for (standing, lag) in standings.iter().zip(&mut lags) {
            if Instant::now() >= deadline {
                break;
            }
            let (topic, partition) = (&*standing.topic, standing.partition);
            match self.client.fetch_watermarks(topic, partition, REQUEST) {
                Ok((start, end)) => {
                    let committed = committed.get(&(topic, partition)).copied();
                    *lag = u64::try_from(behind(standing, committed, start, end)).ok();
                }
                Err(error) => {
                    // Its leader may be away; that of the next one need not be.
                    tracing::debug!(%error, topic, partition, "watermarks");
                }
            }
        }
        lags
    }

    /// The group's offsets of the partitions from which nothing was received yet.
    fn committed<'a>(
        &self,
        standings: &'a [Standing],
    ) -> KafkaResult<HashMap<(&'a str, i32), i64>> {
        let mut asked = TopicPartitionList::new();
        let unknown: Vec<_> = standings
            .iter()
            .filter(|standing| standing.committable.is_none())
            .collect();
        if unknown.is_empty() {
            return Ok(HashMap::new());
        }
        for standing in &unknown {
            asked.add_partition(&standing.topic, standing.partition);
        }
        let found = self.client.committed_offsets(asked, REQUEST)?;
        Ok(unknown
            .iter()
            .filter_map(|standing| {
                let found = found.find_partition(&standing.topic, standing.partition)?;
                let offset = found.offset().to_raw().filter(|offset| *offset >= 0)?;
                Some(((&*standing.topic, standing.partition), offset))
            })
            .collect())
    }

    fn publish(&mut self, observed: &[(Standing, Option<u64>)], stalls: &[Stall]) {
        let mut before = std::mem::take(&mut self.published);
        for (standing, lag) in observed {
            let key = (standing.topic.clone(), standing.partition);
            before.remove(&key);
            let stalled = stalls
                .iter()
                .any(|stall| stall.topic == key.0 && stall.partition == key.1);
            if let Some(lag) = lag {
                let lag = usize::try_from(*lag).unwrap_or(usize::MAX);
                gauge!(metric::LAG, "topic" => key.0.to_string(), "partition" => key.1.to_string())
                    .set(count(lag));
            }
            set_stalled(&key, stalled);
            self.published.insert(key, stalled);
        }
        // No longer ours: whoever owns them tells.
        for (key, _) in before {
            gauge!(metric::LAG, "topic" => key.0.to_string(), "partition" => key.1.to_string())
                .set(0.0);
            set_stalled(&key, false);
        }
    }
}

fn set_stalled((topic, partition): &(Arc<str>, i32), stalled: bool) {
    gauge!(metric::STALLED, "topic" => topic.to_string(), "partition" => partition.to_string())
        .set(if stalled { 1.0 } else { 0.0 });
}

/// Records behind the end. Where everything received is finished and the client has fetched up to the end, what is left
/// are no records: markers and aborted transactions.
fn behind(standing: &Standing, committed: Option<i64>, start: i64, end: i64) -> i64 {
    let read_all = standing.unfinished == 0 && standing.fetched.is_some_and(|at| at >= end);
    match standing.committable.or(committed) {
        _ if read_all => 0,
        Some(at) => (end - at.max(start)).max(0),
        None => end - start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_from_what_is_finished_and_knows_what_is_no_record() {
        let standing = |committable, fetched, unfinished| Standing {
            topic: "t".into(),
            partition: 0,
            epoch: 1,
            progress: 0,
            attempts: 0,
            completed: 0,
            committable,
            fetched,
            unfinished,
            waiting: 0,
            in_flight: 0,
            is_crowded: false,
            is_full: false,
            is_corrupt: false,
        };
        for (committable, fetched, unfinished, committed, lag) in [
            (Some(40), Some(60), 3, None, 60),
            (Some(40), Some(100), 0, None, 0),
            (Some(40), Some(100), 1, None, 60),
            (None, None, 0, Some(70), 30),
            // Retention has deleted what was committed.
            (None, None, 0, Some(5), 90),
            (None, None, 0, None, 90),
        ] {
            let standing = standing(committable, fetched, unfinished);
            assert_eq!(behind(&standing, committed, 10, 100), lag, "{standing:?}");
        }
    }
}
