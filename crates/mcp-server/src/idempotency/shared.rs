//! What runs and what ran in any replica: one key of Redis for each call.
//!
//! Its value is `L`, the fingerprint and the holder's token while the call runs, and `R`, the fingerprint and the result
//! afterwards. Both end by themselves: a lease soon after its holder has died, a result after its time to live. Each step
//! is one script, so it happens whole or not at all; and each may be sent again when its answer was lost.

use std::time::Duration;

use redis::Script;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::key::CallId;
use super::{IdempotencyConfig, NotOnce};
use crate::access::keys::hex;
use crate::redis_link::{RedisAway, RedisLink};

const PREFIX: &str = "mcp-hybrid:idempotency:";
const LEASE: u8 = b'L';
const RESULT: u8 = b'R';
/// The kind and the fingerprint.
const HEAD: usize = 1 + 32;

/// Pauses between two looks at a call that runs in another replica.
const LOOK_FIRST: Duration = Duration::from_millis(20);
const LOOK_LAST: Duration = Duration::from_millis(250);
/// A lease is renewed so many times in its length.
const RENEWALS: u32 = 4;
/// How often, and after which pause, storing a result is tried again: the caller waits for it.
const STORE_TRIES: u32 = 3;
const STORE_PAUSE: Duration = Duration::from_millis(100);

/// What is there and the milliseconds for which it still is, or our lease if nothing is.
const CLAIM: &str = "
local there = redis.call('GET', KEYS[1])
if there then return {there, redis.call('PTTL', KEYS[1])} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false";
/// The rest happens only to a lease of our own.
const RENEW: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])";
const STORE: &str = "
local there = redis.call('GET', KEYS[1])
if there == ARGV[2] then return 1 end
if there ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";
const RELEASE: &str = "
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])";

/// The store in Redis.
pub(super) struct Shared {
    redis: RedisLink,
    claim: Script,
    scripts: std::sync::Arc<LeaseScripts>,
    config: IdempotencyConfig,
}

struct LeaseScripts {
    renew: Script,
    store: Script,
    release: Script,
}

/// What a call finds.
pub(super) enum SharedClaim {
    /// The result, and for how long it still stands.
    Stored(Vec<u8>, Duration),
    OtherCall,
    Lease(Lease),
}

impl Shared {
    pub(super) fn new(redis: RedisLink, config: IdempotencyConfig) -> Self {
        let scripts = LeaseScripts {
            renew: Script::new(RENEW),
            store: Script::new(STORE),
            release: Script::new(RELEASE),
        };
        Self {
            redis,
            claim: Script::new(CLAIM),
            scripts: scripts.into(),
            config,
        }
    }

    /// The result or the lease; one that another replica holds is waited for.
    pub(super) async fn claim(
        &self,
        id: &CallId,
        deadline: Instant,
    ) -> Result<SharedClaim, NotOnce> {
        let mut value = vec![LEASE];
        value.extend_from_slice(&id.fingerprint);
        value.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
        // Made first: when an answer is lost, or nobody waits for it any more, the lease may have been taken all the same.
        let mut lease = Lease {
            redis: self.redis.clone(),
            scripts: self.scripts.clone(),
            key: key(id),
            value,
            length: self.config.lease,
            ttl: self.config.ttl,
            since: Instant::now(),
            is_over: false,
        };
        let mut pause = LOOK_FIRST;
        loop {
            lease.since = Instant::now();
            let mut script = self.claim.key(lease.key.as_str());
            script.arg(lease.value.as_slice());
            script.arg(millis(self.config.lease));
            let found: Option<(Vec<u8>, i64)> = self
                .redis
                .run(&script)
                .await
                .map_err(|RedisAway| NotOnce::StoreAway)?;
            let Some((found, left)) = found else {
                return Ok(SharedClaim::Lease(lease));
            };
            if found == lease.value {
                return Ok(SharedClaim::Lease(lease));
            }
            match found.split_at_checked(HEAD) {
                Some((head, _)) if head[1..] != id.fingerprint => {
                    lease.is_over = true;
                    return Ok(SharedClaim::OtherCall);
                }
                Some((head, result)) if head[0] == RESULT => {
                    lease.is_over = true;
                    // Negative where it does not expire, because somebody else made it so.
                    let left = u64::try_from(left).map_or(lease.ttl, Duration::from_millis);
                    return Ok(SharedClaim::Stored(result.to_vec(), left.min(lease.ttl)));
                }
                _ => {}
            }
            if Instant::now() + pause > deadline {
                lease.is_over = true;
                return Err(NotOnce::StillUnderWay);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_LAST);
        }
    }

    /// Removes that result, if it is what is there.
    pub(super) async fn forget(&self, id: &CallId, result: &[u8]) -> Result<(), NotOnce> {
        let key = key(id);
        let mut script = self.scripts.release.key(key.as_str());
        script.arg(stored(&id.fingerprint, result));
        let removed = self.redis.run::<bool>(&script).await;
        removed.map(drop).map_err(|RedisAway| NotOnce::StoreAway)
    }
}

fn key(id: &CallId) -> String {
    format!("{PREFIX}{}", hex(&id.digest))
}

/// The value that holds a result.
fn stored(fingerprint: &[u8], result: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD + result.len());
    value.push(RESULT);
    value.extend_from_slice(fingerprint);
    value.extend_from_slice(result);
    value
}

/// The right to run a call. Dropped without a result, it is given back.
pub(super) struct Lease {
    redis: RedisLink,
    scripts: std::sync::Arc<LeaseScripts>,
    key: String,
    value: Vec<u8>,
    length: Duration,
    ttl: Duration,
    since: Instant,
    is_over: bool,
}

impl Lease {
    /// Renews the lease; ends when it is lost, or might be: from then on another replica may run the call.
    pub(super) async fn lost(&self) {
        let mut held_until = self.since + self.length;
        let mut next = self.since + self.length / RENEWALS;
        loop {
            sleep_until(next.min(held_until)).await;
            let asked = Instant::now();
            let mut script = self.scripts.renew.key(self.key.as_str());
            script.arg(self.value.as_slice()).arg(millis(self.length));
            match timeout_at(held_until, self.redis.run::<bool>(&script)).await {
                Ok(Ok(true)) => held_until = asked + self.length,
                Ok(Ok(false)) => {
                    tracing::warn!("a call's lease was taken over or forgotten: the call is ended");
                    return;
                }
                Ok(Err(RedisAway)) if Instant::now() < held_until => {}
                Ok(Err(RedisAway)) | Err(_) => {
                    tracing::warn!("a call's lease could not be renewed: the call is ended");
                    return;
                }
            }
            next = Instant::now() + self.length / RENEWALS;
        }
    }

    /// Puts the result in the place of the lease. Where that can't be done, the call has succeeded all the same: it is
    /// answered, and repeated elsewhere it would run again once the lease has ended.
    pub(super) async fn store(mut self, result: &[u8]) {
        let value = stored(&self.value[1..HEAD], result);
        for attempt in 1..=STORE_TRIES {
            let mut script = self.scripts.store.key(self.key.as_str());
            script
                .arg(self.value.as_slice())
                .arg(value.as_slice())
                .arg(millis(self.ttl));
            match self.redis.run::<bool>(&script).await {
                Ok(true) => {
                    self.is_over = true;
                    return;
                }
                Ok(false) => {
                    self.is_over = true;
                    tracing::warn!("a result came after its lease had ended and is not stored");
                    return;
                }
                Err(RedisAway) if attempt < STORE_TRIES => sleep(STORE_PAUSE).await,
                Err(RedisAway) => {}
            }
        }
        // The lease stays until it ends by itself: better a late second run than one at once.
        self.is_over = true;
        tracing::warn!("a result could not be stored: Redis does not answer");
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Outside of a runtime there is nothing that could give it back: it ends by itself.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.is_over {
            return;
        }
        let (redis, scripts) = (self.redis.clone(), self.scripts.clone());
        let (key, value) = (
            std::mem::take(&mut self.key),
            std::mem::take(&mut self.value),
        );
        runtime.spawn(async move {
            let mut script = scripts.release.key(key.as_str());
            script.arg(value.as_slice());
            let _ = redis.run::<bool>(&script).await;
        });
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
