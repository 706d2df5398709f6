//! What runs and what ran in this process: bounded in count, in bytes and in time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{counter, gauge};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::IdempotencyConfig;
use super::key::CallId;
use crate::metric_definitions as metric;

/// What an entry costs beside its result, in bytes.
const ENTRY_BYTES: usize = 256;

/// The table; its lock is held for a few steps in memory, never over an await.
pub(super) struct Memory {
    bounds: IdempotencyConfig,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    entries: HashMap<[u8; 32], Entry>,
    /// Stored entries, oldest first: also the order in which they expire, for all live equally long.
    order: VecDeque<(u64, [u8; 32])>,
    bytes: usize,
    last: u64,
}

struct Entry {
    fingerprint: [u8; 32],
    state: State,
}

enum State {
    /// Cancelled when it has ended.
    UnderWay(CancellationToken),
    Stored {
        number: u64,
        result: Arc<[u8]>,
        expires: Instant,
    },
}

/// What a call finds.
pub(super) enum Claim<'a> {
    /// It ran.
    Stored(Arc<[u8]>),
    /// It runs; the token is cancelled when it has ended.
    UnderWay(CancellationToken),
    /// The key belongs to another call.
    OtherCall,
    /// It is to run.
    Lead(Lead<'a>),
}

impl Memory {
    pub(super) fn new(bounds: IdempotencyConfig) -> Self {
        Self {
            bounds,
            table: Mutex::default(),
        }
    }

    pub(super) fn claim(&self, id: &CallId) -> Claim<'_> {
        let mut table = self.lock();
        table.expire(Instant::now());
        if let Some(entry) = table.entries.get(&id.digest) {
            if entry.fingerprint != id.fingerprint {
                return Claim::OtherCall;
            }
            return match &entry.state {
                State::UnderWay(ended) => Claim::UnderWay(ended.clone()),
                State::Stored { result, .. } => Claim::Stored(result.clone()),
            };
        }
        let entry = Entry {
            fingerprint: id.fingerprint,
            state: State::UnderWay(CancellationToken::new()),
        };
        table.entries.insert(id.digest, entry);
        drop(table);
        Claim::Lead(Lead {
            memory: self,
            id: *id,
            result: None,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // No step under the lock can panic half-way but for want of memory.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Removes what has expired.
    fn expire(&mut self, now: Instant) {
        while let Some((number, digest)) = self.order.front().copied() {
            let is_due = match self.entries.get(&digest).map(|entry| &entry.state) {
                Some(State::Stored {
                    number: own,
                    expires,
                    ..
                }) if *own == number => *expires <= now,
                _ => true,
            };
            if !is_due {
                break;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((number, digest)) = self.order.pop_front() else {
            return;
        };
        let is_own = matches!(
            self.entries.get(&digest).map(|entry| &entry.state),
            Some(State::Stored { number: own, .. }) if *own == number
        );
        if is_own && let Some(entry) = self.entries.remove(&digest) {
            self.bytes -= entry.bytes();
        }
    }

    fn store(&mut self, id: &CallId, result: Arc<[u8]>, bounds: &IdempotencyConfig) {
        self.last += 1;
        let entry = Entry {
            fingerprint: id.fingerprint,
            state: State::Stored {
                number: self.last,
                result,
                expires: Instant::now() + bounds.ttl,
            },
        };
        self.bytes += entry.bytes();
        self.entries.insert(id.digest, entry);
        self.order.push_back((self.last, id.digest));
        let mut evicted = 0;
        while self.order.len() > bounds.entries_max || self.bytes > bounds.bytes_max {
            self.drop_oldest();
            evicted += 1;
        }
        if evicted > 0 {
            counter!(metric::IDEMPOTENCY_EVICTED).increment(evicted);
        }
        gauge!(metric::IDEMPOTENCY_ENTRIES).set(self.order.len() as f64);
        gauge!(metric::IDEMPOTENCY_BYTES).set(self.bytes as f64);
    }
}

impl Entry {
    fn bytes(&self) -> usize {
        match &self.state {
            State::UnderWay(_) => 0,
            State::Stored { result, .. } => ENTRY_BYTES + result.len(),
        }
    }
}

/// The turn to run a call. When it is dropped without a result, the next one has it.
pub(super) struct Lead<'a> {
    memory: &'a Memory,
    id: CallId,
    result: Option<Arc<[u8]>>,
}

impl Lead<'_> {
    /// Ends the turn with a result.
    pub(super) fn store(mut self, result: Arc<[u8]>) {
        self.result = Some(result);
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut table = self.memory.lock();
        let ended = table.entries.remove(&self.id.digest);
        if let Some(result) = self.result.take() {
            table.store(&self.id, result, &self.memory.bounds);
        }
        drop(table);
        if let Some(Entry {
            state: State::UnderWay(ended),
            ..
        }) = ended
        {
            ended.cancel();
        }
    }
}
