//! What the parts of the engine tell each other besides jobs: holds on intake and the failure that ends the process.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::gauge;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metric_definitions as metric;

/// Reasons to take no records, each held by one part; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Holds(Arc<[AtomicBool; 3]>);

/// Who holds intake.
#[derive(Clone, Copy, Debug)]
pub enum Hold {
    /// The MCP server is down.
    Server,
    /// Dead letters or results can't be written.
    Outbox,
    /// The dead-letter budget is used up.
    Budget,
}

impl Hold {
    const ALL: [Self; 3] = [Self::Server, Self::Outbox, Self::Budget];

    /// The name in the metric's label.
    fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Outbox => "outbox",
            Self::Budget => "budget",
        }
    }
}

impl Holds {
    /// Sets or releases one hold.
    pub fn set(&self, hold: Hold, held: bool) {
        if self.0[hold as usize].swap(held, Ordering::Relaxed) != held {
            self.publish(hold);
        }
    }

    /// Makes every hold visible as a metric, set or not.
    pub fn publish_all(&self) {
        Hold::ALL.into_iter().for_each(|hold| self.publish(hold));
    }

    fn publish(&self, hold: Hold) {
        let held = self.0[hold as usize].load(Ordering::Relaxed);
        gauge!(metric::INTAKE_HELD, "reason" => hold.as_str()).set(if held { 1.0 } else { 0.0 });
    }

    /// Whether that hold is set.
    pub fn is_set(&self, hold: Hold) -> bool {
        self.0[hold as usize].load(Ordering::Relaxed)
    }

    /// Whether any hold is set.
    pub fn any(&self) -> bool {
        self.0.iter().any(|hold| hold.load(Ordering::Relaxed))
    }
}

/// How many partitions this member owns; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Owned(Arc<AtomicUsize>);

impl Owned {
    /// So many from now on.
    pub fn set(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// How the poll thread asks the dispatcher to sort out the jobs of assignments that are being given up; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sorting(Arc<(Notify, AtomicU64, AtomicU64)>);

impl Sorting {
    /// Asks for it. The answer is what [`Sorting::is_done`] wants.
    pub fn ask(&self) -> u64 {
        let (wake, asked, _) = &*self.0;
        let request = asked.fetch_add(1, Ordering::SeqCst) + 1;
        wake.notify_one();
        request
    }

    /// Whether it was done since.
    pub fn is_done(&self, request: u64) -> bool {
        self.0.2.load(Ordering::SeqCst) >= request
    }

    /// Resolves when it is asked for; the requests that it is about.
    pub async fn asked(&self) -> u64 {
        self.0.0.notified().await;
        self.0.1.load(Ordering::SeqCst)
    }

    /// It was done for all requests up to this one.
    pub fn done(&self, request: u64) {
        self.0.2.fetch_max(request, Ordering::SeqCst);
    }
}

/// How long the process may stand still before it must ask itself whether its partitions are still its own.
const STANDSTILL: Duration = Duration::from_secs(2);

/// Whether the process has run without a standstill lately; cheap to clone.
///
/// A process that was stopped for longer than its session (a frozen machine, SIGSTOP) finds answers in its sockets when
/// it goes on, before it learns that its partitions are another's. What it would do for them must wait until then.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    start: Instant,
    /// Milliseconds since the start.
    last: AtomicU64,
    /// The end of the last standstill.
    resumed: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Beats {
            start: Instant::now(),
            last: AtomicU64::new(0),
            resumed: AtomicU64::new(0),
        }))
    }
}

impl Pulse {
    /// The poll thread has come round.
    pub fn beat(&self) {
        self.beat_at(Instant::now());
    }

    fn beat_at(&self, now: Instant) {
        let now = self.millis(now);
        let last = self.0.last.swap(now, Ordering::SeqCst);
        if is_standstill(now - last.min(now)) {
            self.0.resumed.store(now, Ordering::SeqCst);
        }
    }

    /// Whether there was no standstill lately: long enough ago that the broker has said what became of the partitions.
    pub fn is_steady(&self) -> bool {
        self.is_steady_at(Instant::now())
    }

    fn is_steady_at(&self, now: Instant) -> bool {
        let now = self.millis(now);
        let since = |at: &AtomicU64| now - at.load(Ordering::SeqCst).min(now);
        let resumed = self.0.resumed.load(Ordering::SeqCst) > 0;
        !is_standstill(since(&self.0.last)) && (!resumed || is_standstill(since(&self.0.resumed)))
    }

    /// Resolves when [`Pulse::is_steady`].
    pub async fn steady(&self) {
        while !self.is_steady() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from((now - self.0.start).as_millis()).unwrap_or(u64::MAX)
    }
}

fn is_standstill(millis: u64) -> bool {
    Duration::from_millis(millis) >= STANDSTILL
}

/// The failure that ends the process: the first one counts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Fatal(Arc<(OnceLock<String>, CancellationToken)>);

impl Fatal {
    /// The process can't go on.
    pub fn raise(&self, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::error!(reason, "the worker can't go on");
        let _ = self.0.0.set(reason);
        self.0.1.cancel();
    }

    /// The reason, once there is one.
    pub fn reason(&self) -> Option<&str> {
        self.0.0.get().map(String::as_str)
    }

    /// Resolves once there is a reason.
    pub async fn raised(&self) {
        self.0.1.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_standstill_it_takes_a_while_to_be_steady() {
        let pulse = Pulse::default();
        let at = |halves: u32| pulse.0.start + STANDSTILL / 2 * halves;
        pulse.beat_at(at(1));
        assert!(pulse.is_steady_at(at(2)));
        assert!(!pulse.is_steady_at(at(3)));
        for (beat, steady) in [(3, false), (4, false), (5, true)] {
            pulse.beat_at(at(beat));
            assert_eq!(pulse.is_steady_at(at(beat)), steady, "{beat}");
        }
    }
}
