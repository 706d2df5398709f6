//! Where the states of tasks lie.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::AsyncCommands as _;
use redis::aio::ConnectionManager;
use rmcp::model::DetailedTask;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::TTL;
use crate::redis_link::RedisLink;

/// Tasks that one process remembers, and their bytes; the one that ends first gives way.
const MEMORY_MAX: usize = 10_000;
const MEMORY_BYTES: usize = 64 * 1024 * 1024;
/// What other replicas need of it is there for a moment longer than the client was told.
const GRACE: Duration = Duration::from_secs(60);

/// A task's state, and whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Owned {
    /// The name of the key that made it. One that says none is nobody's.
    #[serde(default)]
    pub(super) owner: Box<str>,
    #[serde(flatten)]
    pub(super) task: DetailedTask,
}

/// The states of tasks by their ids.
pub(crate) enum TaskStore {
    /// In this process: for a server of one replica.
    Memory(Mutex<Memory>),
    /// In Redis: for any number of them.
    Redis(RedisLink),
}

impl std::fmt::Debug for TaskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "Memory",
            Self::Redis(_) => "Redis",
        })
    }
}

/// A state could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("Redis can't be reached: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("a task's state is not of this version: {0}")]
    Shape(#[from] serde_json::Error),
}

impl TaskStore {
    /// A store in this process.
    pub(crate) fn memory() -> Self {
        Self::Memory(Mutex::default())
    }

    /// Stores a state in place of the last one.
    pub(super) async fn put(&self, owned: &Owned) -> Result<(), StoreError> {
        let id = &owned.task.task.task_id;
        let state = serde_json::to_vec(owned)?;
        match self {
            Self::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.put(id, state, Instant::now());
                Ok(())
            }
            Self::Redis(link) => {
                let seconds = (TTL + GRACE).as_secs();
                let put = async |mut connection: ConnectionManager| {
                    connection.set_ex(key(id), state, seconds).await
                };
                let () = link.exchange(put).await?;
                Ok(())
            }
        }
    }

    /// The last state stored.
    pub(super) async fn get(&self, id: &str) -> Result<Option<Owned>, StoreError> {
        let state: Option<Vec<u8>> = match self {
            Self::Memory(memory) => {
                let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                let stored = memory.states.get(id);
                let stored = stored.filter(|(ends, _)| *ends > Instant::now());
                stored.map(|(_, state)| state.clone())
            }
            Self::Redis(link) => {
                let get = async |mut connection: ConnectionManager| connection.get(key(id)).await;
                link.exchange(get).await?
            }
        };
        let owned = state.map(|state| serde_json::from_slice(&state));
        Ok(owned.transpose()?)
    }
}

/// The states that one process remembers, as they would be in Redis.
#[derive(Default)]
pub(crate) struct Memory {
    states: HashMap<String, (Instant, Vec<u8>)>,
    bytes: usize,
}

impl Memory {
    fn put(&mut self, id: &str, state: Vec<u8>, now: Instant) {
        let last = self.remove(id);
        let ends = last.unwrap_or(now + TTL + GRACE);
        self.bytes += state.len();
        self.states.insert(id.to_owned(), (ends, state));
        while self.states.len() > MEMORY_MAX || self.bytes > MEMORY_BYTES {
            let others = self.states.iter().filter(|(other, _)| *other != id);
            let first = others.min_by_key(|(_, (ends, _))| *ends);
            let Some(first) = first.map(|(id, _)| id.clone()) else {
                break;
            };
            self.remove(&first);
        }
    }

    /// When it would have ended.
    fn remove(&mut self, id: &str) -> Option<Instant> {
        let (ends, state) = self.states.remove(id)?;
        self.bytes -= state.len();
        Some(ends)
    }
}

fn key(id: &str) -> String {
    format!("mcp-hybrid:task:{id}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_one_that_ends_first_gives_way_to_bytes() {
        let mut memory = Memory::default();
        let now = Instant::now();
        let third = || vec![0; MEMORY_BYTES / 3];
        for (id, second) in [("b", 2), ("a", 1), ("c", 3)] {
            memory.put(id, third(), now + Duration::from_secs(second));
        }
        // A state in place of the last one needs no other room.
        memory.put("a", third(), now + Duration::from_secs(9));
        assert_eq!(memory.states.len(), 3);
        memory.put("d", third(), now + Duration::from_secs(4));
        assert!(!memory.states.contains_key("a") && memory.states.len() == 3);
        // The only one stays, however large.
        memory.put("e", vec![0; 2 * MEMORY_BYTES], now);
        assert_eq!((memory.states.len(), memory.bytes), (1, 2 * MEMORY_BYTES));
    }
}
