//! When intake pauses and resumes, as pure decisions.
//!
//! Two bounds stand apart. Jobs that could run are bounded together: when enough of them are here, every partition
//! pauses. Jobs that *wait* (for a retry, for their `notBefore`, behind another job of their key) are bounded by
//! partition, each with a fair share: they never use up the room of those that could run, and a slow key stops only the
//! partition it is in.

/// Records and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many.
    pub records: usize,
    /// Their size.
    pub bytes: usize,
}

impl Load {
    /// What is left without `other`.
    pub fn without(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_sub(other.records),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    /// The sum.
    pub fn with(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
        }
    }

    /// The share of one among `count`.
    pub fn share(self, count: usize) -> Self {
        let count = count.max(1);
        Self {
            records: (self.records / count).max(1),
            bytes: (self.bytes / count).max(1),
        }
    }

    /// Whether one of the limits is reached.
    pub fn reaches(self, limit: Self) -> bool {
        self.records >= limit.records || self.bytes >= limit.bytes
    }
}

/// Closes at a limit and opens at half of it, so that it does not flutter.
#[derive(Debug, Default)]
pub struct Gate {
    closed: bool,
}

impl Gate {
    /// Whether it is closed at that load.
    pub fn update(&mut self, load: Load, limit: Load) -> bool {
        let above_half = load.records > limit.records / 2 || load.bytes > limit.bytes / 2;
        self.closed = load.reaches(limit) || (self.closed && above_half);
        self.closed
    }

    /// Whether it was closed at the last load.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

/// What is received and not finished.
#[derive(Clone, Copy, Debug)]
pub struct Loads {
    /// All of it.
    pub unfinished: Load,
    /// That part of it that waits.
    pub waiting: Load,
}

impl Loads {
    /// What could run if there were permits.
    pub fn runnable(self) -> Load {
        self.unfinished.without(self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Load};

    #[test]
    fn it_closes_at_the_limit_and_opens_at_half_of_it() {
        let limit = load(100, 1_000);
        let mut gate = Gate::default();
        for (records, bytes, closed) in [
            (99, 0, false),
            (100, 0, true),
            (51, 0, true),
            (50, 0, false),
            (1, 1_000, true),
            (0, 501, true),
            (0, 500, false),
        ] {
            assert_eq!(gate.update(load(records, bytes), limit), closed);
        }
    }

    #[test]
    fn a_share_is_never_nothing() {
        assert_eq!(load(100, 10).share(3), load(33, 3));
        assert_eq!(load(2, 2).share(5), load(1, 1));
        assert_eq!(load(2, 2).share(0), load(2, 2));
    }

    fn load(records: usize, bytes: usize) -> Load {
        Load { records, bytes }
    }
}
