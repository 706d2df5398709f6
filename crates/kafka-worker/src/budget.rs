//! The dead-letter budget: a token bucket, pure. An outage or a bad deploy must not empty the topic into the dead-letter
//! topic before somebody has looked.

use std::time::Duration;

use tokio::time::Instant;

const MINUTE: f64 = 60.0;

/// Dead letters that may be written: as many at once as a minute has, and then as they come back in.
#[derive(Debug)]
pub struct Budget {
    /// None: no limit.
    per_minute: Option<f64>,
    /// Below zero by the letters that wait for their turn.
    tokens: f64,
    at: Instant,
    used_up: bool,
}

impl Budget {
    /// A full bucket of `per_minute` letters; 0 is no limit.
    pub fn new(per_minute: u32, now: Instant) -> Self {
        Self {
            per_minute: (per_minute > 0).then_some(f64::from(per_minute)),
            tokens: f64::from(per_minute),
            at: now,
            used_up: false,
        }
    }

    /// Takes one token; when the letter may be written. The turn is reserved: it needs no second call then.
    pub fn reserve(&mut self, now: Instant) -> Instant {
        let Some(per_minute) = self.per_minute else {
            return now;
        };
        self.refill(now);
        self.tokens -= 1.0;
        if self.tokens >= 0.0 {
            return now;
        }
        self.used_up = true;
        now + Duration::from_secs_f64(-self.tokens * MINUTE / per_minute)
    }

    /// Whether it is used up: from the first letter that must wait until a quarter has come back, so that intake does
    /// not flutter.
    pub fn is_used_up(&mut self, now: Instant) -> bool {
        if let Some(per_minute) = self.per_minute
            && self.used_up
        {
            self.refill(now);
            self.used_up = self.tokens < self.enough(per_minute);
        }
        self.used_up
    }

    /// When it is no longer used up, if no letter is written until then.
    pub fn recovers_at(&self) -> Option<Instant> {
        let per_minute = self.per_minute.filter(|_| self.used_up)?;
        let missing = (self.enough(per_minute) - self.tokens).max(0.0);
        Some(self.at + Duration::from_secs_f64(missing * MINUTE / per_minute))
    }

    /// Letters that may be written at once; none without a limit.
    pub fn remaining(&mut self, now: Instant) -> Option<f64> {
        self.per_minute?;
        self.refill(now);
        Some(self.tokens.max(0.0))
    }

    fn enough(&self, per_minute: f64) -> f64 {
        (per_minute / 4.0).max(1.0)
    }

    fn refill(&mut self, now: Instant) {
        if let Some(per_minute) = self.per_minute {
            let gained = (now - self.at).as_secs_f64() * per_minute / MINUTE;
            self.tokens = (self.tokens + gained).min(per_minute);
            self.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_minutes_worth_goes_at_once_and_then_one_after_the_other() {
        let now = Instant::now();
        let mut budget = Budget::new(60, now);
        assert!((0..60).all(|_| budget.reserve(now) == now));
        assert!(!budget.is_used_up(now));
        let second = Duration::from_secs(1);
        assert_eq!(budget.reserve(now), now + second);
        assert_eq!(budget.reserve(now), now + 2 * second);
        assert!(budget.is_used_up(now));
        assert_eq!(budget.recovers_at(), Some(now + 17 * second));
        assert!(budget.is_used_up(now + 16 * second));
        assert!(!budget.is_used_up(now + 17 * second));
    }

    #[test]
    fn zero_is_no_limit() {
        let now = Instant::now();
        let mut budget = Budget::new(0, now);
        assert!((0..10_000).all(|_| budget.reserve(now) == now));
        assert_eq!(
            (budget.is_used_up(now), budget.remaining(now)),
            (false, None)
        );
    }

    proptest! {
        /// However letters come: in any stretch of time no more are written than the bucket and the time allow.
        #[test]
        fn no_more_than_the_budget_is_written(
            per_minute in 1u32..500,
            gaps in prop::collection::vec(0u64..2_000, 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut budget = Budget::new(per_minute, start);
            let mut last = start;
            for (index, gap) in gaps.iter().enumerate() {
                now += Duration::from_millis(*gap);
                last = last.max(budget.reserve(now));
                let allowed = f64::from(per_minute) * (1.0 + (last - start).as_secs_f64() / MINUTE);
                prop_assert!((index + 1) as f64 <= allowed + 0.01);
            }
        }
    }
}
