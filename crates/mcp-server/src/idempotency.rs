//! A repeated key returns the stored result, and one that is under way is waited for: no call of a key runs twice.
//!
//! A call is known by who calls and by its key; its tool and arguments are compared, so that a key that is used for
//! something else is an error and not a wrong answer. Only success is stored. A call that failed, whatever way, has no
//! result to give back: who repeats it wants it tried again, after a moment or after the cause was cured. A call that
//! goes on as a task has that for its result, until the task is known to have failed.
//!
//! Each replica has its own memory of what runs and what ran. With Redis the replicas share it: one that runs a call holds
//! a lease there, renews it while the call runs, and stores the result in its place. A replica that dies leaves a lease
//! that ends by itself. While Redis is away no call with a key is begun, for nobody could know whether it runs elsewhere;
//! results that are in memory are still given back.

mod key;
mod memory;
mod shared;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

pub(crate) use key::{BadKey, CallId, key_of};
use memory::{Claim, Lead, Memory};
use shared::{Lease, Shared, SharedClaim};

use crate::metric_definitions as metric;
use crate::redis_link::RedisLink;

/// Largest result that is stored, in bytes.
const RESULT_MAX: usize = 4 * 1024 * 1024;

/// What is stored in place of a larger one: JSON, and no result.
const TOO_LARGE: &[u8] = b"null";

/// The bounds of what is remembered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdempotencyConfig {
    /// `MCP_IDEMPOTENCY_TTL_MS` (a day): how long a result is given back.
    pub(crate) ttl: Duration,
    /// `MCP_IDEMPOTENCY_LEASE_MS` (30000): after so long, a call whose replica has died may run elsewhere.
    pub(crate) lease: Duration,
    /// `MCP_IDEMPOTENCY_MAX_ENTRIES` (100000): results in memory.
    pub(crate) entries_max: usize,
    /// `MCP_IDEMPOTENCY_MAX_BYTES` (16 MiB): their size.
    pub(crate) bytes_max: usize,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Once<T, E> {
    /// It ran here and now.
    Ran(Result<T, E>),
    /// It ran before: this is what it gave, and how that is stored.
    Replayed(T, Stored),
    /// It ran before and succeeded, and what it gave was too large to be kept.
    ReplayedWithout,
}

/// What is stored of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored(Arc<[u8]>);

/// Why a call was neither run nor answered from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotOnce {
    /// The key belongs to another call.
    #[error("the idempotency key was used for another tool or other arguments")]
    OtherCall,
    /// Nobody knows whether it runs elsewhere.
    #[error("the store of idempotency keys does not answer; try again")]
    StoreAway,
    /// The lease could not be renewed, so it may run elsewhere by now, and was ended here.
    #[error("the call lost its lease on the idempotency key and was ended; try again")]
    LeaseLost,
    /// The one that runs takes too long.
    #[error("a call with that idempotency key is still under way; try again")]
    StillUnderWay,
}

/// The store.
pub(crate) struct Idempotency {
    memory: Memory,
    shared: Option<Shared>,
}

impl Idempotency {
    /// A store in memory, shared through Redis if there is one.
    pub(crate) fn new(config: IdempotencyConfig, redis: Option<RedisLink>) -> Self {
        Self {
            memory: Memory::new(config),
            shared: redis.map(|redis| Shared::new(redis, config)),
        }
    }

    /// Runs the call unless it ran before. `patience` bounds the wait for one that is under way. When this is dropped,
    /// the call is given up, and the next one of its key may run.
    pub(crate) async fn once<T, E, F>(
        &self,
        id: &CallId,
        patience: Duration,
        run: F,
    ) -> Result<Once<T, E>, NotOnce>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, E>>,
    {
        let deadline = Instant::now() + patience;
        let outcome = match self.lead(id, deadline).await? {
            Turn::Stored(bytes) if *bytes == *TOO_LARGE => Ok(Once::ReplayedWithout),
            Turn::Stored(bytes) => read(&bytes).map(|value| Once::Replayed(value, Stored(bytes))),
            Turn::Run(lead, None) => Ok(Once::Ran(store_if_ok(run.await, lead, None).await)),
            Turn::Run(lead, Some(lease)) => {
                let result = tokio::select! {
                    result = run => result,
                    () = lease.lost() => return Err(NotOnce::LeaseLost),
                };
                Ok(Once::Ran(store_if_ok(result, lead, Some(lease)).await))
            }
        };
        let label = match &outcome {
            Ok(Once::Ran(Ok(_))) => "stored",
            Ok(Once::Ran(Err(_))) => "failed",
            Ok(Once::Replayed(..) | Once::ReplayedWithout) => "replayed",
            Err(_) => "unreadable",
        };
        counter!(metric::IDEMPOTENT_CALLS, "outcome" => label).increment(1);
        outcome
    }

    /// Forgets a result that is no longer good, so that its call runs again; one that has taken its place stays.
    ///
    /// # Errors
    /// When that can't be done now.
    pub(crate) async fn forget(&self, id: &CallId, Stored(bytes): &Stored) -> Result<(), NotOnce> {
        self.memory.forget(id, bytes);
        match &self.shared {
            Some(shared) => shared.forget(id, bytes).await,
            None => Ok(()),
        }
    }

    /// The result, or the turn to run: first among the calls of this replica, then among all.
    async fn lead(&self, id: &CallId, deadline: Instant) -> Result<Turn<'_>, NotOnce> {
        let lead = loop {
            match self.memory.claim(id) {
                Claim::Stored(bytes) => return Ok(Turn::Stored(bytes)),
                Claim::OtherCall => return Err(NotOnce::OtherCall),
                Claim::Lead(lead) => break lead,
                Claim::UnderWay(ended) => {
                    let waited = timeout_at(deadline, ended.cancelled()).await;
                    waited.map_err(|_| NotOnce::StillUnderWay)?;
                }
            }
        };
        let Some(shared) = &self.shared else {
            return Ok(Turn::Run(lead, None));
        };
        match shared.claim(id, deadline).await? {
            SharedClaim::Lease(lease) => Ok(Turn::Run(lead, Some(Box::new(lease)))),
            SharedClaim::OtherCall => Err(NotOnce::OtherCall),
            SharedClaim::Stored(bytes, left) => {
                let bytes: Arc<[u8]> = bytes.into();
                lead.store_for(bytes.clone(), left);
                Ok(Turn::Stored(bytes))
            }
        }
    }
}

enum Turn<'a> {
    Stored(Arc<[u8]>),
    Run(Lead<'a>, Option<Box<Lease>>),
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NotOnce> {
    // Written by another version of this program, which the client can only try again.
    serde_json::from_slice(bytes).map_err(|_| NotOnce::StoreAway)
}

/// Stores a success, be it without its result; a failure ends the claim.
async fn store_if_ok<T: Serialize, E>(
    result: Result<T, E>,
    lead: Lead<'_>,
    lease: Option<Box<Lease>>,
) -> Result<T, E> {
    let Ok(value) = &result else {
        return result;
    };
    let bytes: Arc<[u8]> = match serde_json::to_vec(value) {
        Ok(bytes) if bytes.len() <= RESULT_MAX => bytes.into(),
        _ => {
            tracing::warn!(
                "a result is larger than {RESULT_MAX} bytes and is not kept: a repetition of its call is told so"
            );
            TOO_LARGE.into()
        }
    };
    lead.store(bytes.clone());
    if let Some(lease) = lease {
        // A task of its own: what has run is stored, also when the caller goes away just now.
        let _ = tokio::spawn(async move { lease.store(&bytes).await }).await;
    }
    result
}

#[cfg(test)]
mod tests;
