//! What runs and what ran in this process: bounded in count, in bytes and in time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    /// Exactly the entries that are stored, in the order in which they expire.
    order: BTreeMap<Turn, [u8; 32]>,
    bytes: usize,
    last: u64,
}

/// When an entry expires, and a number of its own.
type Turn = (Instant, u64);

struct Entry {
    fingerprint: [u8; 32],
    state: State,
}

enum State {
    /// Cancelled when it has ended.
    UnderWay(CancellationToken),
    Stored {
        turn: Turn,
        result: Arc<[u8]>,
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

    /// Forgets that result, if it is what is stored.
    pub(super) fn forget(&self, id: &CallId, old: &Arc<[u8]>) {
        let mut table = self.lock();
        let entry = table.entries.get(&id.digest);
        if let Some(State::Stored { turn, result }) = entry.map(|entry| &entry.state)
            && result == old
        {
            let turn = *turn;
            table.order.remove(&turn);
            table.remove(&id.digest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // No step under the lock can panic half-way but for want of memory.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Removes what has expired.
    fn expire(&mut self, now: Instant) {
        while let Some(first) = self.order.first_key_value()
            && first.0.0 <= now
        {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, digest)) = self.order.pop_first() {
            self.remove(&digest);
        }
    }

    fn remove(&mut self, digest: &[u8; 32]) -> Option<Entry> {
        let entry = self.entries.remove(digest)?;
        self.bytes -= entry.bytes();
        Some(entry)
    }

    fn store(&mut self, id: &CallId, result: Arc<[u8]>, ttl: Duration, bounds: &IdempotencyConfig) {
        self.last += 1;
        let turn = (Instant::now() + ttl, self.last);
        let entry = Entry {
            fingerprint: id.fingerprint,
            state: State::Stored { turn, result },
        };
        self.bytes += entry.bytes();
        self.entries.insert(id.digest, entry);
        self.order.insert(turn, id.digest);
        let mut evicted = 0;
        while self.order.len() > bounds.entries_max || self.bytes > bounds.bytes_max {
            self.drop_first();
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
    result: Option<(Arc<[u8]>, Duration)>,
}

impl Lead<'_> {
    /// Ends the turn with a result.
    pub(super) fn store(self, result: Arc<[u8]>) {
        let ttl = self.memory.bounds.ttl;
        self.store_for(result, ttl);
    }

    /// Ends the turn with a result that has only so much time left.
    pub(super) fn store_for(mut self, result: Arc<[u8]>, left: Duration) {
        self.result = Some((result, left));
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut table = self.memory.lock();
        let ended = table.remove(&self.id.digest);
        if let Some((result, ttl)) = self.result.take() {
            table.store(&self.id, result, ttl, &self.memory.bounds);
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
