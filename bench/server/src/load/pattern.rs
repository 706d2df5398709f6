//! When calls are due. Pure.

use std::time::Duration;

/// How calls follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pattern {
    /// Each connection calls again as soon as it has its answer.
    Steadily { within: Duration, calls_max: u64 },
    /// So many a second, evenly, whether answers have come or not. A call that finds no free connection is late, and that
    /// counts as time that it took.
    Paced { per_second: f64, within: Duration },
}

/// A pattern that has begun.
pub(super) struct Schedule {
    pattern: Pattern,
    began_ns: u64,
    end_ns: u64,
    taken: u64,
}

impl Pattern {
    /// As fast as it goes.
    pub(crate) fn steadily(within: Duration) -> Self {
        Self::Steadily {
            within,
            calls_max: u64::MAX,
        }
    }

    pub(super) fn begin(self, now_ns: u64) -> Schedule {
        let (Self::Steadily { within, .. } | Self::Paced { within, .. }) = self;
        let within = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        Schedule {
            pattern: self,
            began_ns: now_ns,
            end_ns: now_ns.saturating_add(within),
            taken: 0,
        }
    }
}

impl Schedule {
    /// When the next call is due; None after the end.
    pub(super) fn next_ns(&self, now_ns: u64) -> Option<u64> {
        let due = match self.pattern {
            Pattern::Steadily { calls_max, .. } if self.taken >= calls_max => return None,
            Pattern::Steadily { .. } => now_ns,
            // A window has far fewer calls than 2^52.
            Pattern::Paced { per_second, .. } => {
                self.began_ns + (self.taken as f64 * 1e9 / per_second) as u64
            }
        };
        (due < self.end_ns).then_some(due)
    }

    /// Takes the next call if it is due now, and says since when.
    pub(super) fn take(&mut self, now_ns: u64) -> Option<u64> {
        let due = self.next_ns(now_ns).filter(|due| *due <= now_ns)?;
        self.taken += 1;
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn taken(schedule: &mut Schedule, now: u64) -> Vec<u64> {
        std::iter::from_fn(|| schedule.take(now)).collect()
    }

    #[test]
    fn a_pace_is_kept_and_what_is_late_counts_from_when_it_was_due() {
        let within = Duration::from_secs(1);
        let per_second = 4.0;
        let mut schedule = Pattern::Paced { per_second, within }.begin(100);
        assert_eq!(taken(&mut schedule, 100), [100]);
        assert_eq!(schedule.next_ns(100), Some(100 + SECOND / 4));
        assert_eq!(
            taken(&mut schedule, 100 + SECOND / 4 * 3),
            [1, 2, 3].map(|number| 100 + SECOND / 4 * number)
        );
        assert_eq!(schedule.next_ns(100 + SECOND), None);
        assert_eq!(schedule.take(100 + 9 * SECOND), None);
    }

    #[test]
    fn without_a_pace_the_next_call_is_due_at_once_until_time_or_calls_are_up() {
        let within = Duration::from_secs(1);
        let mut schedule = Pattern::Steadily {
            within,
            calls_max: 2,
        }
        .begin(0);
        assert_eq!(taken(&mut schedule, 5), [5, 5]);
        assert_eq!(schedule.next_ns(5), None);
        let schedule = Pattern::steadily(within).begin(0);
        assert_eq!(schedule.next_ns(SECOND - 1), Some(SECOND - 1));
        assert_eq!(schedule.next_ns(SECOND), None);
    }
}
