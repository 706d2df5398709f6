//! Produces the records over the time of the run, in bursts and lulls.

use std::time::Duration;

use mcp_testkit::{Feed, Line, Transactions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::dice::Dice;
use super::history::{Entry, Recorder};
use super::workload::{Batch, TRANSACTION, Workload};

const TICK: Duration = Duration::from_millis(10);

/// Where the records go.
pub(crate) struct Feeder {
    pub(crate) workload: Workload,
    pub(crate) recorder: Recorder,
    pub(crate) topic: String,
    pub(crate) feed: Feed,
    pub(crate) transactions: Transactions,
}

/// How many records are due at a time: seconds of a run have weights of their own.
struct Schedule {
    records: u32,
    /// The share of the records that are due at the end of each second.
    shares: Vec<f64>,
}

impl Schedule {
    fn new(seed: u64, records: u32, over: Duration) -> Self {
        let mut dice = Dice::new(seed, "schedule", 0);
        let weights: Vec<f64> = (0..over.as_secs().max(1))
            .map(|_| [0.2, 1.0, 1.0, 2.0][dice.below(4) as usize])
            .collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let shares = weights
            .iter()
            .map(|weight| {
                sum += weight / total;
                sum
            })
            .collect();
        Self { records, shares }
    }

    fn due(&self, elapsed: Duration) -> u32 {
        let second = elapsed.as_secs() as usize;
        let Some(end) = self.shares.get(second) else {
            return self.records;
        };
        let begin = match second {
            0 => 0.0,
            _ => self.shares[second - 1],
        };
        let within = f64::from(elapsed.subsec_micros()) / 1e6;
        (f64::from(self.records) * (begin + (end - begin) * within)) as u32
    }
}

impl Feeder {
    /// Produces that many records over that time; returns once all are acknowledged.
    pub(crate) async fn run(self, records: u32, over: Duration) {
        let schedule = Schedule::new(self.workload.seed, records, over);
        let began = Instant::now();
        let (batches, batches_from) = mpsc::channel(16);
        let transactions = tokio::spawn(transact(
            self.transactions.clone(),
            self.workload,
            self.recorder.clone(),
            self.topic.clone(),
            batches_from,
        ));
        let mut sent = JoinSet::new();
        let mut next = 0;
        while next < records {
            let due = schedule.due(began.elapsed()).min(records);
            while next < due {
                let batch = self.workload.batch(next);
                if batch == Batch::Plain {
                    self.send(next, &mut sent);
                    next += 1;
                } else {
                    // The transactions' task ends only after this one.
                    let _ = batches.send((next, batch)).await;
                    next += TRANSACTION;
                }
            }
            while sent.try_join_next().is_some() {}
            tokio::time::sleep(TICK).await;
        }
        drop(batches);
        sent.join_all().await;
        let _ = transactions.await;
    }

    fn send(&self, number: u32, sent: &mut JoinSet<()>) {
        let recipe = self.workload.recipe(number);
        let line = (
            Some(recipe.key.as_bytes()),
            recipe.value.as_deref(),
            recipe.partition,
        );
        let delivery = self.feed.send(&self.topic, line);
        let recorder = self.recorder.clone();
        sent.spawn(async move {
            match delivery.await {
                Ok(place) => enter(&recorder, number, place, false),
                Err(error) => trouble(&recorder, &format!("record {number}: {error}")),
            }
        });
    }
}

async fn transact(
    transactions: Transactions,
    workload: Workload,
    recorder: Recorder,
    topic: String,
    mut batches: mpsc::Receiver<(u32, Batch)>,
) {
    if let Err(error) = transactions.init().await {
        return trouble(&recorder, &format!("no transactions: {error}"));
    }
    while let Some((first, batch)) = batches.recv().await {
        let numbers = first..first + TRANSACTION;
        let recipes: Vec<_> = numbers
            .clone()
            .map(|number| workload.recipe(number))
            .collect();
        let lines: Vec<Line<'_>> = recipes
            .iter()
            .map(|recipe| {
                (
                    Some(recipe.key.as_bytes()),
                    recipe.value.as_deref(),
                    recipe.partition,
                )
            })
            .collect();
        match transactions
            .run(&topic, &lines, batch == Batch::Commit)
            .await
        {
            Ok((places, committed)) => {
                for (number, place) in numbers.zip(places) {
                    enter(&recorder, number, place, !committed);
                }
                recorder.deed(match committed {
                    true => "transactions committed",
                    false => "transactions aborted",
                });
            }
            Err(error) => return trouble(&recorder, &format!("transaction at {first}: {error}")),
        }
    }
}

fn enter(recorder: &Recorder, number: u32, (partition, offset): (i32, i64), aborted: bool) {
    recorder.history().entries.push(Entry {
        number,
        partition,
        offset,
        aborted,
    });
}

fn trouble(recorder: &Recorder, what: &str) {
    recorder
        .history()
        .own_trouble
        .push(format!("producer: {what}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_records_are_due_at_the_end_and_never_fewer_than_before() {
        let schedule = Schedule::new(1, 1_000, Duration::from_secs(20));
        let due: Vec<_> = (0..=200)
            .map(|tenth| schedule.due(Duration::from_millis(tenth * 100)))
            .collect();
        assert!(due.is_sorted());
        assert_eq!((due[0], due[200]), (0, 1_000));
    }
}
