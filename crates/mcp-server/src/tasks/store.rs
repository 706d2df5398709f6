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

/// Tasks that one process remembers; the one that ends first gives way.
const MEMORY_MAX: usize = 10_000;
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
    Memory(Mutex<HashMap<String, (Instant, Owned)>>),
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
        match self {
            Self::Memory(tasks) => {
                let now = Instant::now();
                let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
                let ends = tasks.get(id).map_or(now + TTL + GRACE, |(ends, _)| *ends);
                if tasks.len() >= MEMORY_MAX && !tasks.contains_key(id) {
                    tasks.retain(|_, (ends, _)| *ends > now);
                    let first = tasks.iter().min_by_key(|(_, (ends, _))| *ends);
                    if let Some(first) = first.map(|(id, _)| id.clone())
                        && tasks.len() >= MEMORY_MAX
                    {
                        tasks.remove(&first);
                    }
                }
                tasks.insert(id.clone(), (ends, owned.clone()));
                Ok(())
            }
            Self::Redis(link) => {
                let state = serde_json::to_vec(owned)?;
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
        match self {
            Self::Memory(tasks) => {
                let tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
                let stored = tasks.get(id).filter(|(ends, _)| *ends > Instant::now());
                Ok(stored.map(|(_, owned)| owned.clone()))
            }
            Self::Redis(link) => {
                let get = async |mut connection: ConnectionManager| connection.get(key(id)).await;
                let state: Option<Vec<u8>> = link.exchange(get).await?;
                Ok(state
                    .map(|state| serde_json::from_slice(&state))
                    .transpose()?)
            }
        }
    }
}

fn key(id: &str) -> String {
    format!("mcp-hybrid:task:{id}")
}
