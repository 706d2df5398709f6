//! Which offset of a partition may be committed: a pure structure, without clock, Kafka or async.
//!
//! Records come in the order of their offsets, with gaps (compaction and transaction markers take offsets that no
//! record has), and finish in any order. The committable offset is the one of the oldest unfinished record; with none
//! unfinished, the one behind the last record received. It follows what was *received*, never "the last finished + 1".

use std::collections::VecDeque;

use crate::mutation::{self, Mutation};

/// The unfinished records of one partition in one assignment, and how far it may be committed.
#[derive(Debug)]
pub struct PartitionTracker {
    epoch: u64,
    /// Received and not yet behind the watermark, in the order of offsets.
    window: VecDeque<Received>,
    /// The offset behind the last record received.
    next: Option<i64>,
    /// Where the group stands, as far as this tracker knows.
    taken: Option<i64>,
    unfinished: usize,
    unfinished_bytes: usize,
}

#[derive(Debug)]
struct Received {
    offset: i64,
    bytes: usize,
    finished: bool,
}

impl PartitionTracker {
    /// A tracker for the assignment with that epoch. Epochs are never used twice in a process.
    pub fn new(epoch: u64) -> Self {
        Self {
            epoch,
            window: VecDeque::new(),
            next: None,
            taken: None,
            unfinished: 0,
            unfinished_bytes: 0,
        }
    }

    /// Notes a received record of that size. `false`: the offset is not beyond the last one, so the log is not the one
    /// that it was: the topic was made anew, or its end was lost with a leader. What this tracker knows says nothing
    /// of the new log, so the caller must begin with a new tracker and a new epoch.
    pub fn receive(&mut self, offset: i64, bytes: usize) -> bool {
        if self.next.is_some_and(|next| offset < next) {
            return false;
        }
        self.window.push_back(Received {
            offset,
            bytes,
            finished: false,
        });
        self.next = Some(offset + 1);
        self.taken.get_or_insert(offset);
        self.unfinished += 1;
        self.unfinished_bytes += bytes;
        true
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
        self.unfinished_bytes -= received.bytes;
        while self.window.front().is_some_and(|first| first.finished) {
            self.window.pop_front();
        }
        true
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

    /// The committable offset, if it has moved since the last call.
    pub fn take_commit(&mut self) -> Option<i64> {
        let committable = self.committable()?;
        (self.taken.replace(committable) != Some(committable)).then_some(committable)
    }

    /// What [`PartitionTracker::take_commit`] handed out was not committed: it is to be handed out again.
    pub fn untake_commit(&mut self) {
        self.taken = self.taken.map(|_| i64::MIN);
    }

    /// The offset behind the last record received; none before the first one.
    pub fn next(&self) -> Option<i64> {
        self.next
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
