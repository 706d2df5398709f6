//! How long to wait before the next attempt. The only file that names the `backoff` crate.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// The longest `Retry-After` that is honoured; a server that asks for more gets this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Exponential backoff with full jitter: attempt `n` waits a uniformly random time between zero and
/// `min(max, base × 2ⁿ⁻¹)`, so that many workers that failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// Upper bound of the wait after the first failure.
    pub base: Duration,
    /// Upper bound of any wait.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            base: Duration::from_millis(200),
            max: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// The wait after `failed` failed attempts (1 or more). What the server asked for is a lower bound, up to
    /// [`RETRY_AFTER_MAX`]; the jitter then comes on top, for the same reason.
    pub fn delay(&self, failed: u32, retry_after: Option<Duration>) -> Duration {
        let ceiling = self.ceiling(failed);
        let jitter = full_jitter(ceiling);
        match retry_after {
            Some(asked) => asked.min(RETRY_AFTER_MAX) + jitter.min(self.base),
            None => jitter,
        }
    }

    /// The longest wait after `failed` failed attempts.
    pub fn ceiling(&self, failed: u32) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.max)
    }

    /// Whether `attempts` used up leave another one.
    pub fn allows_another(&self, attempts: u32) -> bool {
        attempts < self.max_attempts
    }
}

/// Uniform in `[0, ceiling]`: the crate draws from `interval × (1 ± factor)`, so half the ceiling with factor 1.
fn full_jitter(ceiling: Duration) -> Duration {
    let interval = ceiling / 2;
    let mut draw = ExponentialBackoff {
        current_interval: interval,
        initial_interval: interval,
        max_interval: interval,
        randomization_factor: 1.0,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    draw.next_backoff().unwrap_or(ceiling).min(ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_maximum() {
        let policy = RetryPolicy::default();
        let seen: Vec<_> = [1, 2, 3, 8, 9, 1000]
            .map(|n| policy.ceiling(n).as_millis())
            .into();
        assert_eq!(seen, [200, 400, 800, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn full_jitter_uses_the_whole_range() {
        let ceiling = Duration::from_secs(1);
        let draws: Vec<_> = (0..1_000).map(|_| full_jitter(ceiling)).collect();
        assert!(draws.iter().any(|d| *d < ceiling / 10));
        assert!(draws.iter().any(|d| *d > ceiling * 9 / 10));
    }

    proptest! {
        #[test]
        fn a_delay_never_exceeds_its_ceiling(failed in 1u32..100) {
            let policy = RetryPolicy::default();
            prop_assert!(policy.delay(failed, None) <= policy.ceiling(failed));
        }

        #[test]
        fn retry_after_is_a_lower_bound_with_a_cap(failed in 1u32..100, asked in 0u64..10_000) {
            let policy = RetryPolicy::default();
            let asked = Duration::from_secs(asked);
            let delay = policy.delay(failed, Some(asked));
            prop_assert!(delay >= asked.min(RETRY_AFTER_MAX));
            prop_assert!(delay <= RETRY_AFTER_MAX + policy.base);
        }
    }
}
