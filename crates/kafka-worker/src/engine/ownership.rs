//! The right to work on a partition, shared between the poll thread and the jobs of one assignment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

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
    in_flight: AtomicUsize,
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
            in_flight: AtomicUsize::new(0),
            lost: CancellationToken::new(),
        }
    }

    /// Counts a job in, unless the partition is being given up. Each `true` must be followed by one
    /// [`Ownership::leave`].
    pub fn enter(&self) -> bool {
        // Count first, look second, both sequentially consistent: the poll thread sets `draining` first and looks at the
        // count second, so one of the two sees the other.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        if self.draining.load(Ordering::SeqCst) {
            self.leave();
            return false;
        }
        true
    }

    /// Counts a job out.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// From now on no job of this assignment is started.
    pub fn stop_dispatch(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether the partition is being given up.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Jobs counted in.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// The partition is gone: what still runs for it is cut off.
    pub fn lose(&self) {
        self.stop_dispatch();
        self.lost.cancel();
    }

    /// Resolves once the partition is gone.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }
}
