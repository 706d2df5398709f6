//! The partitions that this member owns, with their trackers. Behind a lock only because callbacks of the consumer must
//! be `Sync`: all calls come from the poll thread, and none holds the lock while it waits for another thread's lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::gauge;
use rdkafka::{Offset, TopicPartitionList};

use crate::engine::dispatcher::Done;
use crate::engine::flow::Flow;
use crate::engine::ownership::Ownership;
use crate::engine::tracker::PartitionTracker;
use crate::metric_definitions as metric;

/// The owned partitions, what is done of them, and the flow control over their sum.
pub(super) struct Assignment {
    owned: Mutex<HashMap<(Arc<str>, i32), Owned>>,
    epochs: AtomicU64,
    done: Mutex<Receiver<Done>>,
    flow: Mutex<Flow>,
}

struct Owned {
    ownership: Arc<Ownership>,
    tracker: PartitionTracker,
}

impl Owned {
    fn new(topic: Arc<str>, partition: i32, epoch: u64) -> Self {
        Self {
            ownership: Arc::new(Ownership::new(topic, partition, epoch)),
            tracker: PartitionTracker::new(epoch),
        }
    }
}

/// What a received record is.
pub(super) enum Receipt {
    /// The next one of its partition.
    Next(Arc<Ownership>),
    /// One whose offset was passed before, so the first of another log. The records of the old one no longer count.
    LogRestarted {
        /// The new right to work on the partition.
        ownership: Arc<Ownership>,
        /// Records of the old log that were not finished.
        unfinished: usize,
    },
    /// Of a partition that is not owned, or is being given up: it comes again elsewhere.
    NotOwned,
}

impl Assignment {
    pub(super) fn new(done: Receiver<Done>, flow: Flow) -> Self {
        Self {
            owned: Mutex::default(),
            epochs: AtomicU64::new(1),
            done: Mutex::new(done),
            flow: Mutex::new(flow),
        }
    }

    pub(super) fn flow(&self) -> MutexGuard<'_, Flow> {
        lock(&self.flow)
    }

    /// New partitions, each with a new epoch.
    pub(super) fn acquire(&self, partitions: &TopicPartitionList) {
        let mut owned = lock(&self.owned);
        for element in partitions.elements() {
            let topic: Arc<str> = element.topic().into();
            let partition = element.partition();
            let entry = Owned::new(topic.clone(), partition, self.next_epoch());
            if let Some(old) = owned.insert((topic, partition), entry) {
                old.ownership.lose();
            }
        }
    }

    /// Gives partitions up, all with `None`: late results no longer count, and what still runs is cut off. Returns how
    /// many records were not finished.
    pub(super) fn release(&self, partitions: Option<&TopicPartitionList>) -> usize {
        let mut owned = lock(&self.owned);
        let keys: Vec<_> = match partitions {
            None => owned.keys().cloned().collect(),
            Some(list) => keys(list),
        };
        let mut unfinished = 0;
        for key in keys {
            if let Some(old) = owned.remove(&key) {
                old.ownership.lose();
                unfinished += old.tracker.unfinished();
                let (topic, partition) = key;
                gauge!(metric::LAG, "topic" => topic.to_string(), "partition" => partition.to_string()).set(0.0);
            }
        }
        unfinished
    }

    /// Notes a received record.
    pub(super) fn receive(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
        bytes: usize,
    ) -> Receipt {
        let mut owned = lock(&self.owned);
        let topic: Arc<str> = topic.into();
        let Some(entry) = owned.get_mut(&(topic.clone(), partition)) else {
            return Receipt::NotOwned;
        };
        if entry.ownership.is_draining() {
            return Receipt::NotOwned;
        }
        if entry.tracker.receive(offset, bytes) {
            return Receipt::Next(entry.ownership.clone());
        }
        let unfinished = entry.tracker.unfinished();
        entry.ownership.lose();
        *entry = Owned::new(topic, partition, self.next_epoch());
        entry.tracker.receive(offset, bytes);
        Receipt::LogRestarted {
            ownership: entry.ownership.clone(),
            unfinished,
        }
    }

    fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes in what the dispatcher has told; waits up to `wait` for the first of it.
    pub(super) fn apply_done(&self, wait: Duration) {
        let done = lock(&self.done);
        let first = match wait {
            Duration::ZERO => done
                .try_recv()
                .map_err(|error| error == TryRecvError::Disconnected),
            wait => done
                .recv_timeout(wait)
                .map_err(|error| error == RecvTimeoutError::Disconnected),
        };
        let first = match first {
            Ok(first) => first,
            Err(true) if !wait.is_zero() => {
                // Nobody will ever tell anything: without this pause a caller that waits would spin.
                std::thread::park_timeout(wait);
                return;
            }
            Err(_) => return,
        };
        let mut owned = lock(&self.owned);
        for done in std::iter::once(first).chain(done.try_iter()) {
            let key = (done.ownership.topic.clone(), done.ownership.partition);
            if let Some(entry) = owned.get_mut(&key) {
                entry.tracker.finish(done.ownership.epoch, done.offset);
            }
        }
    }

    /// The offsets to commit that have moved.
    pub(super) fn take_commits(&self) -> TopicPartitionList {
        let mut offsets = TopicPartitionList::new();
        for ((topic, partition), entry) in lock(&self.owned).iter_mut() {
            if let Some(offset) = entry.tracker.take_commit()
                && let Err(error) =
                    offsets.add_partition_offset(topic, *partition, Offset::Offset(offset))
            {
                tracing::error!(%error, offset, "an offset that librdkafka does not take");
            }
        }
        offsets
    }

    /// The offsets were not stored after all.
    pub(super) fn untake_commits(&self, offsets: &TopicPartitionList) {
        let mut owned = lock(&self.owned);
        for key in keys(offsets) {
            if let Some(entry) = owned.get_mut(&key) {
                entry.tracker.untake_commit();
            }
        }
    }

    pub(super) fn stop_dispatch(&self) {
        lock(&self.owned)
            .values()
            .for_each(|entry| entry.ownership.stop_dispatch());
    }

    pub(super) fn stop_dispatch_of(&self, partitions: &TopicPartitionList) {
        self.of(partitions, |ownership| ownership.stop_dispatch());
    }

    pub(super) fn in_flight(&self) -> usize {
        lock(&self.owned)
            .values()
            .map(|entry| entry.ownership.in_flight())
            .sum()
    }

    pub(super) fn in_flight_of(&self, partitions: &TopicPartitionList) -> usize {
        let mut sum = 0;
        self.of(partitions, |ownership| sum += ownership.in_flight());
        sum
    }

    /// How far a partition may be committed, if it is owned.
    pub(super) fn committable(&self, topic: &str, partition: i32) -> Option<Option<i64>> {
        let owned = lock(&self.owned);
        let entry = owned.get(&(topic.into(), partition))?;
        Some(entry.tracker.committable())
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.owned).len()
    }

    /// Records and bytes received and not finished.
    pub(super) fn totals(&self) -> (usize, usize) {
        lock(&self.owned)
            .values()
            .fold((0, 0), |(records, bytes), entry| {
                (
                    records + entry.tracker.unfinished(),
                    bytes + entry.tracker.unfinished_bytes(),
                )
            })
    }

    pub(super) fn is_full(&self) -> bool {
        let (records, bytes) = self.totals();
        self.flow().is_full(records, bytes)
    }

    fn of(&self, partitions: &TopicPartitionList, mut each: impl FnMut(&Ownership)) {
        let owned = lock(&self.owned);
        for key in keys(partitions) {
            if let Some(entry) = owned.get(&key) {
                each(&entry.ownership);
            }
        }
    }
}

fn keys(partitions: &TopicPartitionList) -> Vec<(Arc<str>, i32)> {
    partitions
        .elements()
        .iter()
        .map(|element| (element.topic().into(), element.partition()))
        .collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole before it can panic, so a poisoned lock holds good data.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
