//! Which offset of a partition may be committed: a pure structure, without clock, Kafka or async.
//!
//! Records come in the order of their offsets, with gaps (compaction and transaction markers take offsets that no
//! record has), and finish in any order. The committable offset is the one of the oldest unfinished record; with none
//! unfinished, the one behind the last record received. It follows what was *received*, never "the last finished + 1".

use std::collections::VecDeque;

use super::finished_ahead::FinishedAhead;
use crate::mutation::{self, Mutation};

/// The unfinished records of one partition in one assignment, and how far it may be committed.
#[derive(Debug)]
pub struct PartitionTracker {
    epoch: u64,
    /// Received and not yet behind the watermark, in the order of offsets.
    window: VecDeque<Received>,
    /// Offsets and timestamps of the last records that were received, so that one that comes twice is known.
    recent: VecDeque<(i64, i64)>,
    /// The first record received.
    first: Option<i64>,
    /// The offset behind the last record received.
    next: Option<i64>,
    /// What was committed last.
    committed: Option<Commit>,
    /// What the last owner had finished ahead of its committed offset.
    inherited: Option<FinishedAhead>,
    unfinished: usize,
    unfinished_bytes: usize,
}

/// One record, as it comes.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp in milliseconds; -1 where it has none.
    pub timestamp: i64,
    /// What it takes of the bounds on bytes.
    pub bytes: u32,
}

/// What a record that has come is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// To be processed.
    New,
    /// Finished by the last owner, ahead of its committed offset.
    Finished,
    /// One that has come before: a pause takes the client back to its position, which may be a record behind what it has
    /// handed out. Nothing changes.
    Known,
    /// Its offset is not beyond the last one, and it is not known. Either the log is not the one that it was: the topic was
    /// made anew, or its end was lost with a leader. Or the client has gone far back. What this tracker knows may say
    /// nothing of the log, so the caller must begin with a new tracker and a new epoch, and read on from the oldest
    /// unfinished record, if that is below this one: it must not be passed.
    WentBack,
}

/// Records that are known by offset and timestamp: as many as the client keeps, and some.
const RECENT_MAX: usize = 2_048;

/// What is to be committed of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The offset to read next.
    pub offset: i64,
    /// What is finished ahead of it.
    pub ahead: Option<FinishedAhead>,
}

#[derive(Debug)]
struct Received {
    offset: i64,
    timestamp: i64,
    bytes: u32,
    finished: bool,
}

impl PartitionTracker {
    /// A tracker for the assignment with that epoch. Epochs are never used twice in a process. `inherited` came with the
    /// committed offset.
    pub fn new(epoch: u64, inherited: Option<FinishedAhead>) -> Self {
        Self {
            epoch,
            window: VecDeque::new(),
            recent: VecDeque::new(),
            first: None,
            next: None,
            committed: None,
            inherited,
            unfinished: 0,
            unfinished_bytes: 0,
        }
    }

    /// Notes a received record.
    pub fn receive(&mut self, arrival: Arrival) -> Arrived {
        let Arrival {
            offset,
            timestamp,
            bytes,
        } = arrival;
        if self.next.is_some_and(|next| offset < next) {
            return match self.has_come(offset, timestamp) {
                true => Arrived::Known,
                false => Arrived::WentBack,
            };
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((offset, timestamp));
        if self.next.is_none() {
            self.inherited
                .take_if(|ahead| !ahead.is_about(offset, timestamp));
        }
        let finished = self.inherited.as_ref().is_some_and(|a| a.contains(offset));
        self.window.push_back(Received {
            offset,
            timestamp,
            bytes,
            finished,
        });
        self.next = Some(offset + 1);
        self.first.get_or_insert(offset);
        if finished {
            self.pass_finished();
            return Arrived::Finished;
        }
        self.unfinished += 1;
        self.unfinished_bytes += bytes as usize;
        Arrived::New
    }

    /// Whether that very record has come, as far as is known. One without a timestamp can't be told from another log's.
    fn has_come(&self, offset: i64, timestamp: i64) -> bool {
        timestamp >= 0 && self.timestamp_of(offset) == Some(timestamp)
    }

    /// That of the record that has come with that offset, as far as is known.
    fn timestamp_of(&self, offset: i64) -> Option<i64> {
        let in_window = || {
            let at = self.window.binary_search_by_key(&offset, |at| at.offset);
            at.ok().map(|at| self.window[at].timestamp)
        };
        let in_recent = || {
            let at = self.recent.binary_search_by_key(&offset, |at| at.0);
            at.ok().map(|at| self.recent[at].1)
        };
        in_window().or_else(in_recent)
    }

    /// Notes that the record's outcome is durable. `false`: another epoch's record, an unknown offset, or finished
    /// before; nothing changes then, so a late result of an assignment that was lost does no harm.
    pub fn finish(&mut self, epoch: u64, offset: i64) -> bool {
        if epoch != self.epoch && !mutation::is(Mutation::EpochIgnored) {
            return false;
        }
        let mut found = self
            .window
            .binary_search_by_key(&offset, |received| received.offset);
        if mutation::is(Mutation::GapPlusOne) {
            let first = self.window.front().map_or(0, |first| first.offset);
            let at = usize::try_from(offset - first).unwrap_or(usize::MAX);
            found = if at < self.window.len() {
                Ok(at)
            } else {
                Err(at)
            };
        }
        let Ok(at) = found else {
            return false;
        };
        let received = &mut self.window[at];
        if received.finished {
            return false;
        }
        received.finished = true;
        self.unfinished -= 1;
        self.unfinished_bytes -= received.bytes as usize;
        self.pass_finished();
        true
    }

    fn pass_finished(&mut self) {
        while self.window.front().is_some_and(|first| first.finished) {
            self.window.pop_front();
        }
    }

    /// The offset to read next after a restart: every record before it is finished. `None` before the first record.
    pub fn committable(&self) -> Option<i64> {
        let committable = self.window.front().map(|first| first.offset).or(self.next);
        if mutation::is(Mutation::CommitHighest) {
            let finished = self.window.iter().rfind(|received| received.finished);
            return finished.map(|last| last.offset + 1).or(committable);
        }
        if mutation::is(Mutation::OffByOne) {
            return committable.map(|offset| offset + 1);
        }
        committable
    }

    /// What may be committed now and is not, with what is finished ahead of the offset if that is asked for.
    pub fn commit(&self, with_ahead: bool) -> Option<Commit> {
        let offset = self.committable()?;
        let commit = match with_ahead.then(|| self.told_on()).flatten() {
            Some(told_on) => told_on,
            None => Commit {
                offset,
                ahead: with_ahead.then(|| self.ahead_of(offset)).flatten(),
            },
        };
        let is_new = match &self.committed {
            Some(committed) => *committed != commit,
            None => commit.ahead.is_some() || self.first != Some(offset),
        };
        is_new.then_some(commit)
    }

    /// What is finished ahead of the record at `offset`.
    pub fn ahead_of(&self, offset: i64) -> Option<FinishedAhead> {
        let from = self.window.partition_point(|at| at.offset < offset);
        let first = self.window.get(from)?;
        if first.offset != offset || first.timestamp < 0 {
            return None;
        }
        let records = self.window.range(from..).map(|at| (at.offset, at.finished));
        FinishedAhead::collect(first.timestamp, records, self.beyond())
    }

    /// The same in the log that `arrival` is of. Where another record has come with its offset, what has come from there on
    /// was of another log, and nothing of it is finished in this one.
    pub fn ahead_in_log_of(&self, offset: i64, arrival: &Arrival) -> Option<FinishedAhead> {
        let ahead = self.ahead_of(offset)?;
        match self.timestamp_of(arrival.offset) {
            Some(known) if known != arrival.timestamp => ahead.before(arrival.offset),
            _ => Some(ahead),
        }
    }

    /// What the last owner had finished of what has not come yet: a commit that did not say it again would have it
    /// forgotten.
    fn beyond(&self) -> impl Iterator<Item = (i64, i64)> {
        let inherited = self.inherited.iter().zip(self.next);
        inherited.flat_map(|(ahead, next)| ahead.beyond(next))
    }

    /// With all that has come finished, a commit of the last record itself if there is more that an earlier owner had
    /// finished: the timestamp that the text needs is not known of the next one.
    fn told_on(&self) -> Option<Commit> {
        if !self.window.is_empty() || self.beyond().next().is_none() {
            return None;
        }
        let (offset, timestamp) = *self.recent.back()?;
        let ahead = FinishedAhead::collect(timestamp, [(offset, true)].into_iter(), self.beyond());
        Some(Commit { offset, ahead })
    }

    /// Notes what the group has committed.
    pub fn committed(&mut self, commit: Commit) {
        self.committed = Some(commit);
    }

    /// The offset behind the last record received; none before the first one.
    pub fn next(&self) -> Option<i64> {
        self.next
    }

    /// How many records are kept: the unfinished ones, and those that were finished behind one of them.
    pub fn kept(&self) -> usize {
        self.window.len()
    }

    /// How many records are not finished.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// The size of the unfinished records.
    pub fn unfinished_bytes(&self) -> usize {
        self.unfinished_bytes
    }
}

#[cfg(test)]
mod tests;
