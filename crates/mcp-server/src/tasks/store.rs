//! Where the states of tasks lie.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::AsyncCommands as _;
use redis::aio::ConnectionManager;
use rmcp::model::DetailedTask;
use tokio::time::Instant;

use super::TTL;

/// Tasks that one process remembers; the one that ends first gives way.
const MEMORY_MAX: usize = 10_000;
/// What other replicas need of it is there for a moment longer than the client was told.
const GRACE: Duration = Duration::from_secs(60);

/// The states of tasks by their ids.
pub(crate) enum TaskStore {
    /// In this process: for a server of one replica.
    Memory(Mutex<HashMap<String, (Instant, DetailedTask)>>),
    /// In Redis: for any number of them.
    Redis(ConnectionManager),
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
    pub(super) async fn put(&self, task: &DetailedTask) -> Result<(), StoreError> {
        let id = &task.task.task_id;
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
                tasks.insert(id.clone(), (ends, task.clone()));
                Ok(())
            }
            Self::Redis(connection) => {
                let state = serde_json::to_vec(task)?;
                let seconds = (TTL + GRACE).as_secs();
                let mut connection = connection.clone();
                let () = connection.set_ex(key(id), state, seconds).await?;
                Ok(())
            }
        }
    }

    /// The last state stored.
    pub(super) async fn get(&self, id: &str) -> Result<Option<DetailedTask>, StoreError> {
        match self {
            Self::Memory(tasks) => {
                let tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
                let stored = tasks.get(id).filter(|(ends, _)| *ends > Instant::now());
                Ok(stored.map(|(_, task)| task.clone()))
            }
            Self::Redis(connection) => {
                let mut connection = connection.clone();
                let state: Option<Vec<u8>> = connection.get(key(id)).await?;
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
