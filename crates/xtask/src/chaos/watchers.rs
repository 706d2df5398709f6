//! Looks at committed offsets, at dead letters and at the machine, all through the run.

use std::time::Duration;

use mcp_testkit::{GroupWatch, OffsetWatch, Record, Tail};
use tokio::time::{Instant, MissedTickBehavior};

use super::history::{Committed, Letter, Recorder, Trouble};

/// Between two samples.
const SAMPLE: Duration = Duration::from_millis(50);
/// Between two looks at the group.
const LOOK: Duration = Duration::from_millis(100);
/// A tick that comes so much too late speaks of a machine that is too busy.
const STALL: Duration = Duration::from_millis(1_000);

/// Samples committed offsets until it is dropped.
pub(crate) async fn sample(watch: OffsetWatch, recorder: Recorder) {
    let mut known: Vec<Option<(i64, String)>> = Vec::new();
    let mut ticks = tokio::time::interval(SAMPLE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let committed = watch.committed().await;
        // The time at which the answer is there: the oracle looks only at outcomes that are older.
        let at = recorder.now();
        let mut history = recorder.history();
        let Ok(committed) = committed else {
            history.samples_failed += 1;
            continue;
        };
        history.samples += 1;
        known.resize(committed.len(), None);
        for (partition, (committed, known)) in (0..).zip(committed.into_iter().zip(&mut known)) {
            if let Some((offset, text)) = &committed
                && committed != *known
            {
                history.commits.push(Committed {
                    at,
                    partition,
                    offset: *offset,
                    text: text.clone(),
                });
                *known = committed;
            }
        }
    }
}

/// Notes when the group is not stable, until it is dropped.
pub(crate) async fn watch(group: GroupWatch, recorder: Recorder) {
    recorder.history().rebalancing = Some(Vec::new());
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut stable_at, mut was_stable) = (recorder.now(), true);
    loop {
        ticks.tick().await;
        let asked = recorder.now();
        // What can't be asked is as it was.
        let Ok(state) = group.state().await else {
            continue;
        };
        let is_stable = state == "Stable";
        let answered = recorder.now();
        if let Some(periods) = &mut recorder.history().rebalancing {
            match periods.last_mut() {
                Some((_, until)) if !was_stable => *until = answered,
                _ if !is_stable => periods.push((stable_at, answered)),
                _ => {}
            }
        }
        if is_stable {
            stable_at = asked;
        }
        was_stable = is_stable;
    }
}

/// Collects dead letters until it is dropped.
pub(crate) async fn collect(tail: Tail, recorder: Recorder) {
    loop {
        for record in tail.next(Duration::from_millis(200)).await {
            let letter = letter(&record, &recorder);
            recorder.history().letters.push(letter);
        }
    }
}

fn letter(record: &Record, recorder: &Recorder) -> Letter {
    let header = |name: &str| record.header(name).unwrap_or_default();
    let number = |name: &str| header(name).parse().unwrap_or(-1);
    Letter {
        at: recorder.at_wall(record.timestamp),
        topic: header("__dlq.errors.topic"),
        partition: i32::try_from(number("__dlq.errors.partition")).unwrap_or(-1),
        offset: number("__dlq.errors.offset"),
        code: header("mcp.error.code"),
        worker: header("mcp.worker"),
        key: record.key.clone(),
        value: record.value.clone(),
    }
}

/// Notes when this process was not served in time, until it is dropped.
pub(crate) async fn feel_the_machine(recorder: Recorder) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(SAMPLE).await;
        let late = last.elapsed().saturating_sub(SAMPLE);
        last = Instant::now();
        if late > STALL {
            let now = recorder.now();
            let micros = u64::try_from(late.as_micros()).unwrap_or(now);
            recorder.incident(
                Trouble::MachineStalled,
                Vec::new(),
                now.saturating_sub(micros),
                now,
            );
        }
    }
}
