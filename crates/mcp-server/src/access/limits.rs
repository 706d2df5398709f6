//! The limits of one key: calls a second, calls at once, event streams. None takes a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Limits as an operator writes them; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Calls a second, sustained.
    pub(crate) rate: u32,
    /// Calls that may come at once after a pause; 0 is as many as `rate`.
    pub(crate) burst: u32,
    /// Calls under way.
    pub(crate) concurrency: u32,
    /// Event streams open.
    pub(crate) streams: u32,
}

const SECOND: u64 = 1_000_000_000;

/// What is used of the limits.
#[derive(Debug, Default)]
pub(crate) struct Used {
    /// When, in nanoseconds since the process began, the bucket is full again: the generic cell rate algorithm (ITU-T
    /// I.371), a token bucket in one number.
    full_at: AtomicU64,
    under_way: AtomicU32,
    streams: AtomicU32,
    /// Bytes of bodies that are not whole yet.
    pub(super) arriving: AtomicUsize,
}

impl Limits {
    /// Takes one call of the rate at `now` (since the process began).
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub(crate) fn take(&self, used: &Used, now: Duration) -> Result<(), Duration> {
        if self.rate == 0 {
            return Ok(());
        }
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let each = SECOND / u64::from(self.rate);
        let burst = u64::from(if self.burst == 0 {
            self.rate
        } else {
            self.burst
        });
        let room = each.saturating_mul(burst);
        let mut wait = 0;
        let step = |full_at: u64| {
            let next = full_at.max(now).saturating_add(each);
            wait = next.saturating_sub(now.saturating_add(room));
            (wait == 0).then_some(next)
        };
        match used
            .full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step)
        {
            Ok(_) => Ok(()),
            Err(_) => Err(Duration::from_nanos(wait)),
        }
    }

    /// Takes a place for a call. Every one that was taken is to be [left](Used::leave).
    pub(crate) fn enter(&self, used: &Used) -> bool {
        take(&used.under_way, self.concurrency)
    }

    /// Takes the right to an event stream. Every one that was taken is to be [left](Used::leave_stream).
    pub(crate) fn enter_stream(&self, used: &Used) -> bool {
        take(&used.streams, self.streams)
    }
}

fn take(count: &AtomicU32, max: u32) -> bool {
    let before = count.fetch_add(1, Ordering::Relaxed);
    let fits = max == 0 || before < max;
    if !fits {
        count.fetch_sub(1, Ordering::Relaxed);
    }
    fits
}

impl Used {
    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// Gives back the right to a stream.
    pub(crate) fn leave_stream(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let limits = Limits {
            rate: 10,
            burst: 3,
            ..Limits::default()
        };
        let used = Used::default();
        for _ in 0..3 {
            assert_eq!(limits.take(&used, at(1_000)), Ok(()));
        }
        assert_eq!(limits.take(&used, at(1_000)), Err(at(100)));
        assert_eq!(limits.take(&used, at(1_050)), Err(at(50)));
        assert_eq!(limits.take(&used, at(1_100)), Ok(()));
        assert_eq!(limits.take(&used, at(1_100)), Err(at(100)));
    }

    #[test]
    fn what_is_not_used_is_not_saved_beyond_the_burst() {
        let limits = Limits {
            rate: 1_000,
            burst: 2,
            ..Limits::default()
        };
        let used = Used::default();
        let passed = (0..100).filter(|_| limits.take(&used, at(60_000)).is_ok());
        assert_eq!(passed.count(), 2);
    }

    #[test]
    fn without_a_limit_everything_passes() {
        let used = Used::default();
        assert!((0..10_000).all(|_| Limits::default().take(&used, at(0)).is_ok()));
        assert!((0..10_000).all(|_| Limits::default().enter(&used)));
    }

    #[test]
    fn places_are_given_back() {
        let limits = Limits {
            concurrency: 2,
            ..Limits::default()
        };
        let used = Used::default();
        assert!(limits.enter(&used) && limits.enter(&used));
        assert!(!limits.enter(&used));
        used.leave();
        assert!(limits.enter(&used));
        assert!(!limits.enter(&used));
    }
}
