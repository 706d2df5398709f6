//! The right to work on a partition, shared between the poll thread and the jobs of one assignment.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::flow::Load;
use crate::mutation::{self, Mutation};

/// Attempts that are not slow.
const QUICK: Duration = Duration::from_secs(1);

/// One assignment of one partition. A partition that is revoked and assigned again has another one, with another epoch.
#[derive(Debug)]
pub struct Ownership {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// Unique in the process.
    pub epoch: u64,
    draining: AtomicBool,
    /// When its drain ends.
    deadline: OnceLock<Instant>,
    in_flight: AtomicUsize,
    /// The highest offset that was ever started.
    started: AtomicI64,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    progress: AtomicU64,
    attempts: AtomicU64,
    completed: AtomicU64,
    /// Whether the last attempt was quick.
    is_quick: AtomicBool,
    lost: CancellationToken,
}

impl Ownership {
    /// A new assignment.
    pub fn new(topic: Arc<str>, partition: i32, epoch: u64) -> Self {
        Self {
            topic,
            partition,
            epoch,
            draining: AtomicBool::new(false),
            deadline: OnceLock::new(),
            in_flight: AtomicUsize::new(0),
            started: AtomicI64::new(i64::MIN),
            waiting: AtomicUsize::new(0),
            waiting_bytes: AtomicUsize::new(0),
            progress: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            is_quick: AtomicBool::new(false),
            lost: CancellationToken::new(),
        }
    }

    /// Counts the job at `offset` in for as long as the answer lives. None: the partition is being given up, and the job
    /// is not one that the drain needs, see [`Ownership::is_given_up`].
    pub fn enter(self: &Arc<Self>, offset: i64) -> Option<InFlight> {
        // Count first, look second, both sequentially consistent: the poll thread sets `draining` first and looks at the
        // count second, so one of the two sees the other.
        let entered = InFlight::new(self.clone());
        if self.is_given_up(offset) {
            return None;
        }
        self.started.fetch_max(offset, Ordering::SeqCst);
        Some(entered)
    }

    /// From now on no job is started, other than those below one that was started already. At `deadline` the partition is
    /// given up; if that was said before, the first deadline stays.
    pub fn stop_dispatch(&self, deadline: Instant) {
        self.deadline.get_or_init(|| deadline);
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether a job that is to run at `due` comes too late for the drain.
    pub fn is_too_late(&self, due: Instant) -> bool {
        self.is_draining() && self.deadline.get().is_none_or(|deadline| due > *deadline)
    }

    /// Whether the job at `offset` is left to the next owner. A drain closes the gaps: what waits below an offset that
    /// was started is still run, because otherwise all that is done above it would come again elsewhere.
    pub fn is_given_up(&self, offset: i64) -> bool {
        self.is_draining()
            && !mutation::is(Mutation::EpochIgnored)
            && (self.lost.is_cancelled() || offset > self.started.load(Ordering::SeqCst))
    }

    /// Whether the partition is being given up.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Jobs counted in.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// The jobs that wait for something else than a permit, see [`Waiting`].
    pub fn waiting(&self) -> Load {
        Load {
            records: self.waiting.load(Ordering::Relaxed),
            bytes: self.waiting_bytes.load(Ordering::Relaxed),
        }
    }

    /// Something moved: a record came, a call was answered, a job ended.
    pub fn progressed(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something moved.
    pub fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// A call has ended, well or not.
    pub fn attempted(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.progressed();
    }

    /// How many calls have ended.
    pub fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// An attempt took so long.
    pub fn took(&self, time: Duration) {
        self.is_quick.store(time < QUICK, Ordering::Relaxed);
    }

    /// Whether the last attempt was quick; no, before the first one has ended.
    pub fn is_quick(&self) -> bool {
        self.is_quick.load(Ordering::Relaxed)
    }

    /// A job is done: its outcome is durable.
    pub fn completed_one(&self) {
        self.completed.fetch_add(1, Ordering::Relaxed);
        self.progressed();
    }

    /// How many jobs are done.
    pub fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// The partition is gone: what still runs for it is cut off.
    pub fn lose(&self) {
        self.draining.store(true, Ordering::SeqCst);
        if !mutation::is(Mutation::EpochIgnored) {
            self.lost.cancel();
        }
    }

    /// Resolves once the partition is gone.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

/// Counts a job of an assignment as under way, as long as it lives.
#[derive(Debug)]
pub struct InFlight(Arc<Ownership>);

impl InFlight {
    fn new(ownership: Arc<Ownership>) -> Self {
        ownership.in_flight.fetch_add(1, Ordering::SeqCst);
        Self(ownership)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts a job among those that wait for something else than a permit (a retry, their time, another job of their
/// key), as long as it lives.
#[derive(Debug)]
pub struct Waiting {
    ownership: Arc<Ownership>,
    bytes: usize,
}

impl Waiting {
    /// Counts a job of that size in.
    pub fn new(ownership: Arc<Ownership>, bytes: usize) -> Self {
        ownership.waiting.fetch_add(1, Ordering::Relaxed);
        ownership.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { ownership, bytes }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.ownership.waiting.fetch_sub(1, Ordering::Relaxed);
        self.ownership
            .waiting_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_drain_lets_in_only_what_is_below_something_started() {
        let ownership = Arc::new(Ownership::new("t".into(), 0, 1));
        let started = ownership.enter(7).unwrap();
        ownership.stop_dispatch(Instant::now());
        assert!(ownership.enter(8).is_none());
        let gap = ownership.enter(5).unwrap();
        assert_eq!(ownership.in_flight(), 2);
        drop((started, gap));
        assert_eq!(ownership.in_flight(), 0);
        ownership.lose();
        assert!(ownership.enter(5).is_none());
    }

    #[test]
    fn what_a_drain_waits_for_is_known_from_its_first_moment_on() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let ownership = Ownership::new("t".into(), 0, 1);
        assert!(!ownership.is_too_late(now + 99 * second));
        ownership.stop_dispatch(now + 9 * second);
        assert!(!ownership.is_too_late(now + 9 * second));
        assert!(ownership.is_too_late(now + 10 * second));
        // A revocation under way keeps its time when SIGTERM comes.
        ownership.stop_dispatch(now + 25 * second);
        assert!(ownership.is_too_late(now + 10 * second));

        let lost = Ownership::new("t".into(), 0, 2);
        lost.lose();
        assert!(lost.is_too_late(now));
    }
}
