//! When intake pauses and resumes: two watermarks, so that it does not flutter between them.

/// Limits on what is received and not finished, and whether intake is paused for them.
#[derive(Debug)]
pub struct Flow {
    records_max: usize,
    bytes_max: usize,
    paused: bool,
}

/// What to do with the consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Pause every assigned partition.
    Pause,
    /// Resume every assigned partition.
    Resume,
}

impl Flow {
    /// Pauses at `records_max` records or `bytes_max` bytes, resumes below half of both.
    pub fn new(records_max: usize, bytes_max: usize) -> Self {
        Self {
            records_max,
            bytes_max,
            paused: false,
        }
    }

    /// Whether one of the limits is reached.
    pub fn is_full(&self, records: usize, bytes: usize) -> bool {
        records >= self.records_max || bytes >= self.bytes_max
    }

    /// What the numbers ask for. `hold` keeps intake paused whatever they are: the server is down, or dead letters
    /// can't be written.
    pub fn update(&mut self, records: usize, bytes: usize, hold: bool) -> Option<Change> {
        let low = records <= self.records_max / 2 && bytes <= self.bytes_max / 2;
        if !self.paused && (hold || self.is_full(records, bytes)) {
            self.paused = true;
            return Some(Change::Pause);
        }
        if self.paused && !hold && low {
            self.paused = false;
            return Some(Change::Resume);
        }
        None
    }

    /// Whether intake is paused: partitions assigned now must be paused too.
    pub fn is_paused(&self) -> bool {
        self.paused
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Flow};

    #[test]
    fn intake_pauses_at_the_limit_and_resumes_at_half_of_it() {
        let mut flow = Flow::new(100, 1_000);
        assert_eq!(flow.update(99, 0, false), None);
        assert_eq!(flow.update(100, 0, false), Some(Change::Pause));
        assert_eq!(flow.update(51, 0, false), None);
        assert_eq!(flow.update(50, 0, false), Some(Change::Resume));
        assert_eq!(flow.update(1, 1_000, false), Some(Change::Pause));
        assert_eq!(flow.update(0, 500, false), Some(Change::Resume));
    }

    #[test]
    fn a_hold_pauses_whatever_the_numbers_are() {
        let mut flow = Flow::new(100, 1_000);
        assert_eq!(flow.update(0, 0, true), Some(Change::Pause));
        assert_eq!(flow.update(0, 0, true), None);
        assert_eq!(flow.update(0, 0, false), Some(Change::Resume));
    }
}
