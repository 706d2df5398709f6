//! The partitions that this member owns, with their trackers. Behind a lock that nobody holds while waiting for another:
//! the poll thread works on them, and the committing one reads what is to be committed.

mod beginning;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::committing::{Commits, Text};
use super::receiving::Receipt;
use crate::engine::dispatcher::Done;
use crate::engine::finished_ahead::FinishedAhead;
use crate::engine::flow::{Gate, Load, Loads};
use crate::engine::ownership::Ownership;
use crate::engine::tracker::{Arrival, Arrived, PartitionTracker};
use crate::watchdog::Standing;

/// Records of a partition that are kept, because one at their beginning is not finished, until it is paused: 3 MiB.
const KEPT_MAX: usize = 1 << 17;

/// The owned partitions, and what is done of them.
pub(super) struct Assignment {
    partitions: Mutex<Partitions>,
    epochs: AtomicU64,
    done: Mutex<Receiver<Done>>,
}

#[derive(Default)]
struct Partitions {
    by_topic: HashMap<Arc<str>, HashMap<i32, Owned>>,
    /// Received and not finished, over all of them.
    unfinished: Load,
}

struct Owned {
    ownership: Arc<Ownership>,
    tracker: PartitionTracker,
    /// Over its jobs that wait.
    gate: Gate,
    /// Whether it is paused alone: too many of its jobs wait, or are finished behind one that is not.
    is_crowded: bool,
    /// Whether the consumer was told to pause it.
    paused: bool,
    /// Whether it is paused because the engine is full and it has its share.
    is_full: bool,
    /// How far the client has fetched, as far as it has told.
    fetched: Option<i64>,
    /// Where it was committed when it was assigned.
    begin: Option<i64>,
    /// Whether the client was told to begin there.
    sought: bool,
    assigned: Instant,
    /// A batch from which on nothing can be read.
    corrupt: Option<i64>,
}

/// Why partitions are to be paused.
#[derive(Clone, Copy, Debug)]
pub(super) struct PausePlan {
    /// All of them.
    pub(super) all: bool,
    /// Enough jobs are here that could run: those that have their share of them pause, the others may still bring in
    /// theirs.
    pub(super) full: bool,
    pub(super) runnable_max: Load,
    /// A partition pauses in which more jobs wait than is its share of that.
    pub(super) waiting_max: Load,
}

/// What the consumer is to be told.
pub(super) struct Pauses {
    pub(super) pause: TopicPartitionList,
    pub(super) resume: TopicPartitionList,
    /// Paused partitions, once it has been told.
    pub(super) paused: usize,
    /// Partitions that are paused alone from now on.
    pub(super) crowded: Vec<(Arc<str>, i32)>,
}

impl Owned {
    fn new(topic: Arc<str>, partition: i32, epoch: u64, inherited: Option<FinishedAhead>) -> Self {
        Self {
            ownership: Arc::new(Ownership::new(topic, partition, epoch)),
            tracker: PartitionTracker::new(epoch, inherited),
            gate: Gate::default(),
            is_crowded: false,
            paused: false,
            is_full: false,
            fetched: None,
            begin: None,
            sought: false,
            assigned: Instant::now(),
            corrupt: None,
        }
    }

    /// How many offsets lie between what has come of it and this one; none, if more has come.
    fn distance(&self, offset: i64) -> Option<i64> {
        match self.tracker.next().or(self.begin) {
            Some(next) => offset.checked_sub(next).filter(|distance| *distance >= 0),
            // Nothing is known of it: any other is likelier.
            None => Some(i64::MAX),
        }
    }

    fn unfinished(&self) -> Load {
        Load {
            records: self.tracker.unfinished(),
            bytes: self.tracker.unfinished_bytes(),
        }
    }
}

impl Partitions {
    fn get(&self, topic: &str, partition: i32) -> Option<&Owned> {
        self.by_topic.get(topic)?.get(&partition)
    }

    fn get_mut(&mut self, topic: &str, partition: i32) -> Option<&mut Owned> {
        self.by_topic.get_mut(topic)?.get_mut(&partition)
    }

    fn insert(&mut self, owned: Owned) {
        let (topic, partition) = (owned.ownership.topic.clone(), owned.ownership.partition);
        self.remove(&topic, partition);
        self.by_topic
            .entry(topic)
            .or_default()
            .insert(partition, owned);
    }

    /// What still runs of it is cut off, and late results no longer count. Returns how many records were not finished.
    fn remove(&mut self, topic: &str, partition: i32) -> usize {
        let Some(partitions) = self.by_topic.get_mut(topic) else {
            return 0;
        };
        let Some(old) = partitions.remove(&partition) else {
            return 0;
        };
        old.ownership.lose();
        self.unfinished = self.unfinished.without(old.unfinished());
        old.tracker.unfinished()
    }

    fn all(&self) -> impl Iterator<Item = &Owned> {
        self.by_topic.values().flat_map(HashMap::values)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Owned> {
        self.by_topic.values_mut().flat_map(HashMap::values_mut)
    }

    fn count(&self) -> usize {
        self.by_topic.values().map(HashMap::len).sum()
    }
}

impl Assignment {
    pub(super) fn new(done: Receiver<Done>) -> Self {
        Self {
            partitions: Mutex::default(),
            epochs: AtomicU64::new(1),
            done: Mutex::new(done),
        }
    }

    /// New partitions, each with a new epoch. `committed`: what the group has committed of them, as far as it is known.
    pub(super) fn acquire(
        &self,
        partitions: &TopicPartitionList,
        committed: Option<&TopicPartitionList>,
    ) {
        let mut owned = lock(&self.partitions);
        for element in partitions.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let found = committed.and_then(|list| list.find_partition(topic, partition));
            let begin = found.as_ref().and_then(|found| match found.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            });
            let inherited = found
                .zip(begin)
                .and_then(|(found, begin)| FinishedAhead::decode(begin, found.metadata()));
            let epoch = self.next_epoch();
            let mut new = Owned::new(topic.into(), partition, epoch, inherited);
            new.begin = begin;
            owned.insert(new);
        }
    }

    /// Gives partitions up, all with `None`: late results no longer count, and what still runs is cut off. Returns how
    /// many records were not finished.
    pub(super) fn release(&self, partitions: Option<&TopicPartitionList>) -> usize {
        let mut owned = lock(&self.partitions);
        let keys: Vec<_> = match partitions {
            None => owned
                .all()
                .map(|owned| (owned.ownership.topic.clone(), owned.ownership.partition))
                .collect(),
            Some(list) => list
                .elements()
                .iter()
                .map(|element| (element.topic().into(), element.partition()))
                .collect(),
        };
        keys.iter()
            .map(|(topic, partition)| owned.remove(topic, *partition))
            .sum()
    }

    /// Notes a received record.
    pub(super) fn receive(&self, topic: &str, partition: i32, arrival: Arrival) -> Receipt {
        let mut owned = lock(&self.partitions);
        let Some(entry) = owned.get_mut(topic, partition) else {
            return Receipt::NotOwned;
        };
        if entry.ownership.is_draining() || entry.corrupt.is_some() {
            return Receipt::NotOwned;
        }
        entry.ownership.progressed();
        // A pause at the wrong moment can make the client begin at the position of an earlier assignment of this process
        // (`rktp_app_pos`, set by a record that was polled while fetching was stopped), beyond records that nobody has
        // done. Offsets without a record look the same, so it is told once where to begin, and believed then.
        if let Some(begin) = entry.begin
            && entry.tracker.next().is_none()
            && arrival.offset > begin
            && !entry.sought
        {
            entry.sought = true;
            return Receipt::ReadFrom(begin);
        }
        let one = Load {
            records: 1,
            bytes: arrival.bytes as usize,
        };
        match entry.tracker.receive(arrival) {
            Arrived::New => {
                let ownership = entry.ownership.clone();
                owned.unfinished = owned.unfinished.with(one);
                return Receipt::Next(ownership);
            }
            Arrived::Finished => return Receipt::Finished,
            Arrived::Known => return Receipt::Known,
            Arrived::WentBack => {}
        }
        let topic = entry.ownership.topic.clone();
        let oldest = entry.tracker.committable();
        if let Some(oldest) = oldest.filter(|oldest| *oldest < arrival.offset) {
            // It may be the same log or another one: from there on nothing that is not finished is passed in either.
            let ahead = entry.tracker.ahead_in_log_of(oldest, &arrival);
            let mut again = Owned::new(topic, partition, self.next_epoch(), ahead);
            again.paused = entry.paused;
            again.begin = Some(oldest);
            again.sought = true;
            owned.insert(again);
            return Receipt::ReadAgain(oldest);
        }
        let mut anew = Owned::new(topic, partition, self.next_epoch(), None);
        anew.paused = entry.paused;
        anew.tracker.receive(arrival);
        let unfinished = entry.tracker.unfinished();
        let ownership = anew.ownership.clone();
        owned.insert(anew);
        owned.unfinished = owned.unfinished.with(one);
        Receipt::LogRestarted {
            ownership,
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
        let mut owned = lock(&self.partitions);
        for done in std::iter::once(first).chain(done.try_iter()) {
            let (topic, partition) = (&done.ownership.topic, done.ownership.partition);
            if let Some(entry) = owned.get_mut(topic, partition) {
                let before = entry.unfinished();
                if entry.tracker.finish(done.ownership.epoch, done.offset) {
                    entry.ownership.completed_one();
                    let finished = before.without(entry.unfinished());
                    owned.unfinished = owned.unfinished.without(finished);
                }
            }
        }
    }

    /// What is to be committed and is not; with the longest text only where there is one.
    pub(super) fn commits(&self, text: Text) -> Commits {
        let mut commits = Commits::default();
        for entry in lock(&self.partitions).all() {
            if let Some(commit) = entry.tracker.commit(text != Text::None)
                && (commit.ahead.is_some() || text != Text::Longest)
            {
                commits.add(entry.ownership.clone(), commit, text);
            }
        }
        commits
    }

    /// The group has committed that.
    pub(super) fn committed(&self, commits: Commits) {
        let mut owned = lock(&self.partitions);
        for (ownership, commit) in commits.of {
            if let Some(entry) = owned.get_mut(&ownership.topic, ownership.partition)
                && entry.ownership.epoch == ownership.epoch
            {
                entry.tracker.committed(commit);
            }
        }
    }

    pub(super) fn stop_dispatch(&self, deadline: Instant) {
        lock(&self.partitions)
            .all()
            .for_each(|entry| entry.ownership.stop_dispatch(deadline));
    }

    pub(super) fn stop_dispatch_of(&self, partitions: &TopicPartitionList, deadline: Instant) {
        self.of(partitions, |ownership| ownership.stop_dispatch(deadline));
    }

    pub(super) fn in_flight(&self) -> usize {
        lock(&self.partitions)
            .all()
            .map(|entry| entry.ownership.in_flight())
            .sum()
    }

    pub(super) fn in_flight_of(&self, partitions: &TopicPartitionList) -> usize {
        let mut sum = 0;
        self.of(partitions, |ownership| sum += ownership.in_flight());
        sum
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.partitions).count()
    }

    /// What is received and not finished.
    pub(super) fn loads(&self) -> Loads {
        let owned = lock(&self.partitions);
        let waiting = owned.all().fold(Load::default(), |sum, entry| {
            sum.with(entry.ownership.waiting())
        });
        Loads {
            unfinished: owned.unfinished,
            waiting,
        }
    }

    /// Which partitions to pause and to resume. Counts on the consumer being told.
    pub(super) fn plan_pauses(&self, plan: PausePlan) -> Pauses {
        let mut owned = lock(&self.partitions);
        let waiting_share = plan.waiting_max.share(owned.count());
        let runnable_share = plan.runnable_max.share(owned.count());
        let mut pauses = Pauses {
            pause: TopicPartitionList::new(),
            resume: TopicPartitionList::new(),
            paused: 0,
            crowded: Vec::new(),
        };
        for entry in owned.all_mut() {
            let (topic, partition) = (&entry.ownership.topic, entry.ownership.partition);
            let crowded = entry.gate.update(entry.ownership.waiting(), waiting_share)
                || entry.tracker.kept() >= KEPT_MAX;
            if crowded && !entry.is_crowded {
                pauses.crowded.push((topic.clone(), partition));
            }
            entry.is_crowded = crowded;
            let runnable = entry.unfinished().without(entry.ownership.waiting());
            entry.is_full = plan.full
                && (runnable.reaches(runnable_share)
                    || (entry.is_full && runnable.reaches(runnable_share.share(2))));
            let paused = plan.all
                || crowded
                || entry.is_full
                || entry.corrupt.is_some()
                || entry.ownership.is_draining();
            if paused && !entry.paused {
                pauses.pause.add_partition(topic, partition);
            } else if !paused && entry.paused {
                pauses.resume.add_partition(topic, partition);
            }
            entry.paused = paused;
            pauses.paused += usize::from(paused);
        }
        pauses
    }

    /// Notes how far the client has fetched a partition.
    pub(super) fn fetched(&self, topic: &str, partition: i32, offset: i64) {
        if let Some(entry) = lock(&self.partitions).get_mut(topic, partition) {
            entry.fetched = Some(offset);
        }
    }

    /// A batch at that offset can't be read, and the client does not say of which partition. It is the one that had come
    /// nearest to it, be it by a commit; should that be wrong, the error comes again and the next one is found. From now on
    /// nothing of it is received: after such an error the client goes astray, and may begin it from its start.
    pub(super) fn fence(&self, offset: i64) -> Option<(Arc<str>, i32)> {
        let mut owned = lock(&self.partitions);
        let found = owned
            .all_mut()
            .filter(|entry| entry.corrupt.is_none())
            .filter_map(|entry| Some((entry.distance(offset)?, entry)))
            .min_by_key(|(distance, _)| *distance);
        let (_, entry) = found?;
        entry.corrupt = Some(offset);
        Some((entry.ownership.topic.clone(), entry.ownership.partition))
    }

    /// The partitions that can't be read on, and the offsets of their batches.
    pub(super) fn corrupt(&self) -> Vec<(Arc<str>, i32, i64)> {
        lock(&self.partitions)
            .all()
            .filter_map(|entry| {
                let (topic, partition) = (&entry.ownership.topic, entry.ownership.partition);
                Some((topic.clone(), partition, entry.corrupt?))
            })
            .collect()
    }

    /// How the partitions stand.
    pub(super) fn standings(&self) -> Vec<Standing> {
        lock(&self.partitions)
            .all()
            .map(|entry| Standing {
                topic: entry.ownership.topic.clone(),
                partition: entry.ownership.partition,
                epoch: entry.ownership.epoch,
                progress: entry.ownership.progress(),
                attempts: entry.ownership.attempts(),
                completed: entry.ownership.completed(),
                committable: entry.tracker.committable(),
                fetched: entry.fetched.filter(|_| entry.corrupt.is_none()),
                unfinished: entry.tracker.unfinished(),
                waiting: entry.ownership.waiting().records,
                in_flight: entry.ownership.in_flight(),
                is_crowded: entry.is_crowded,
                is_full: entry.is_full,
                is_corrupt: entry.corrupt.is_some(),
            })
            .collect()
    }

    fn of(&self, partitions: &TopicPartitionList, mut each: impl FnMut(&Ownership)) {
        let owned = lock(&self.partitions);
        for element in partitions.elements() {
            if let Some(entry) = owned.get(element.topic(), element.partition()) {
                each(&entry.ownership);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is whole before it can panic, so a poisoned lock holds good data.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
