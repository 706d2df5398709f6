//! What came to the stub, by job.

use serde::{Deserialize, Serialize};

/// Jobs with larger numbers are not followed one by one.
const JOBS_MAX: usize = 10_000_000;

/// What the stub tells of itself. All counts are since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stats {
    /// When it told this, on the monotonic clock.
    pub(crate) now_ns: u64,
    /// Calls that came.
    pub(crate) came: u64,
    /// Calls that were answered to a client that was still there.
    pub(crate) answered: u64,
    /// Calls whose client was gone when the answer was due.
    pub(crate) abandoned: u64,
    /// Distinct jobs.
    pub(crate) seen: u64,
    /// Calls for a job that had come before.
    pub(crate) repeated: u64,
    /// How long all answers together were held back.
    pub(crate) held_ns: u64,
    /// Connections that were closed because what came was no request.
    pub(crate) refused: u64,
    /// Bytes of all bodies together.
    pub(crate) body_bytes: u64,
}

/// Counts, and the first arrival of each job.
#[derive(Default)]
pub(super) struct Ledger {
    stats: Stats,
    /// By job number, on the monotonic clock; 0 before it has come.
    first: Vec<u64>,
}

impl Ledger {
    pub(super) fn came(&mut self, job: Option<usize>, body_bytes: usize, now: u64) {
        self.stats.came += 1;
        self.stats.body_bytes += body_bytes as u64;
        let Some(job) = job.filter(|job| *job < JOBS_MAX) else {
            return;
        };
        if job >= self.first.len() {
            self.first.resize((job + 1).next_power_of_two(), 0);
        }
        if self.first[job] == 0 {
            self.first[job] = now;
            self.stats.seen += 1;
        } else {
            self.stats.repeated += 1;
        }
    }

    pub(super) fn answered(&mut self, client_is_there: bool, held_ns: u64) {
        if client_is_there {
            self.stats.answered += 1;
        } else {
            self.stats.abandoned += 1;
        }
        self.stats.held_ns += held_ns;
    }

    pub(super) fn refused(&mut self) {
        self.stats.refused += 1;
    }

    pub(super) fn stats(&self, now_ns: u64) -> Stats {
        Stats {
            now_ns,
            ..self.stats
        }
    }

    /// When each job came first; 0 for those that have not.
    pub(super) fn arrivals(&self) -> &[u64] {
        &self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_comes_again_is_repeated() {
        let mut ledger = Ledger::default();
        for (job, now) in [(3, 10), (0, 11), (3, 12)] {
            ledger.came(Some(job), 100, now);
        }
        ledger.came(None, 100, 13);
        ledger.answered(true, 5);
        ledger.answered(false, 5);
        let stats = ledger.stats(20);
        assert_eq!((stats.came, stats.seen, stats.repeated), (4, 2, 1));
        assert_eq!((stats.answered, stats.abandoned), (1, 1));
        assert_eq!(
            (stats.body_bytes, stats.held_ns, stats.now_ns),
            (400, 10, 20)
        );
        assert_eq!(ledger.arrivals(), [11, 0, 0, 10]);
    }
}
