//! What clients of 2026-07-28 carry from one request of a call to the next: signed, so that it can be believed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_core::Secret;
use redis::aio::ConnectionManager;
use rmcp::ErrorData;
use rmcp::model::{InputResponses, RequestStateCodec, SealOptions};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::redis_link::RedisLink;

/// How long a client may take to come back with its answers.
const TTL: Duration = Duration::from_secs(3600);
/// Largest `requestState`, in bytes.
const STATE_MAX: usize = 64 * 1024;
/// Where replicas keep the key that they share.
const KEY: &str = "mcp-hybrid:state-key";

/// How often the key is looked up again for states that can't be opened: anybody can send such.
const LOOK: Duration = Duration::from_secs(1);

/// Where the key comes from.
pub(super) enum Source {
    /// The operator gave it.
    Given(Secret),
    /// The first replica that needs it makes one for all.
    Redis(RedisLink),
    /// Made at the start, for a replica that is alone.
    Own,
}

/// Signs and believes states.
pub(super) struct States {
    source: Source,
    keys: Mutex<Keys>,
}

/// The key that signs, and the one that did before it: what Redis has may change, when it has lost its data.
#[derive(Default)]
struct Keys {
    now: Option<Key>,
    before: Option<Key>,
    looked: Option<Instant>,
}

#[derive(Clone)]
struct Key {
    secret: Secret,
    codec: Arc<RequestStateCodec>,
}

/// What a state holds: the answers that the call already had.
#[derive(Serialize, Deserialize)]
struct State {
    answers: InputResponses,
}

impl States {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            keys: Mutex::default(),
        }
    }

    pub(super) async fn seal(
        &self,
        answers: InputResponses,
        bound_to: &[u8],
    ) -> Result<String, ErrorData> {
        let options = SealOptions::new().associated_data(bound_to).ttl(TTL);
        let state = serde_json::to_vec(&State { answers }).unwrap_or_default();
        let sealed = self.key().await?.codec.seal_with(&state, &options);
        if sealed.len() > STATE_MAX {
            let what = format!(
                "the answers of this call are larger than the {STATE_MAX} bytes that a client carries along"
            );
            return Err(ErrorData::internal_error(what, None));
        }
        Ok(sealed)
    }

    pub(super) async fn unseal(
        &self,
        state: &str,
        bound_to: &[u8],
    ) -> Result<InputResponses, ErrorData> {
        let refused = |what: String| ErrorData::invalid_params(what, None);
        if state.len() > STATE_MAX {
            return Err(refused("`requestState` is too large".into()));
        }
        let open = |key: &Key| key.codec.open_with(state, bound_to);
        let mut opened = open(&self.key().await?);
        if opened.is_err()
            && let Some(before) = self.keys().before.clone()
        {
            opened = open(&before).or(opened);
        }
        if opened.is_err() && self.may_look() {
            // Another replica may have signed it with a key that this one does not have yet.
            opened = open(&self.look_up().await?).or(opened);
        }
        let opened = opened
            .map_err(|error| refused(format!("`requestState` is not this request's: {error}")))?;
        let state: State = serde_json::from_slice(&opened)
            .map_err(|_| refused("`requestState` is not of this version".into()))?;
        Ok(state.answers)
    }

    async fn key(&self) -> Result<Key, ErrorData> {
        let now = self.keys().now.clone();
        match now {
            Some(key) => Ok(key),
            None => self.look_up().await,
        }
    }

    /// Whether the key may have changed, and was not just looked up.
    fn may_look(&self) -> bool {
        let mut keys = self.keys();
        let is_due = keys.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        let may_look = is_due && matches!(self.source, Source::Redis(_));
        if may_look {
            keys.looked = Some(Instant::now());
        }
        may_look
    }

    /// The key as it is now. One that was in use stays good for what it has signed.
    async fn look_up(&self) -> Result<Key, ErrorData> {
        let away = || ErrorData::internal_error("no state can be signed or read now", None);
        let secret = self.secret().await.map_err(|error| {
            tracing::warn!(%error, "the key that signs states can't be had from Redis");
            away()
        })?;
        let codec = RequestStateCodec::try_new(secret.expose().as_bytes()).map_err(|error| {
            tracing::warn!(%error, "the key that signs states is no good");
            away()
        })?;
        let mut keys = self.keys();
        match &keys.now {
            Some(now) if now.secret.expose() == secret.expose() => Ok(now.clone()),
            // A replica that is alone makes one key, whoever is first.
            Some(now) if matches!(self.source, Source::Own) => Ok(now.clone()),
            _ => {
                let codec = Arc::new(codec);
                keys.before = keys.now.replace(Key { secret, codec });
                keys.now.clone().ok_or_else(away)
            }
        }
    }

    async fn secret(&self) -> redis::RedisResult<Secret> {
        match &self.source {
            Source::Given(key) => Ok(key.clone()),
            Source::Own => Ok(Secret::new(random())),
            Source::Redis(link) => {
                // If Redis has lost the key, it gets back the one that has signed what clients hold.
                let known = self.keys().now.clone();
                let offered = known.map_or_else(random, |key| key.secret.expose().to_owned());
                let ask = async |mut connection: ConnectionManager| {
                    let mut offer = redis::cmd("SET");
                    offer.arg(KEY).arg(offered).arg("NX");
                    let _: Option<String> = offer.query_async(&mut connection).await?;
                    redis::cmd("GET")
                        .arg(KEY)
                        .query_async(&mut connection)
                        .await
                };
                Ok(Secret::new(link.exchange::<String, _>(ask).await?))
            }
        }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 244 random bits.
fn random() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_state_is_good_for_its_own_request_and_unchanged() {
        let states = States::new(Source::Own);
        let answers = InputResponses::from_iter([("a".to_owned(), json!({"b": 1}))]);
        let sealed = states.seal(answers.clone(), b"one").await.unwrap();
        assert_eq!(states.unseal(&sealed, b"one").await.unwrap(), answers);
        states.unseal(&sealed, b"another").await.unwrap_err();
        states
            .unseal(&format!("{sealed}x"), b"one")
            .await
            .unwrap_err();
        let stranger = States::new(Source::Own);
        stranger.unseal(&sealed, b"one").await.unwrap_err();
    }

    #[tokio::test]
    async fn two_replicas_with_the_same_key_believe_each_other() {
        let key = Secret::new("0123456789abcdef0123456789abcdef");
        let one = States::new(Source::Given(key.clone()));
        let two = States::new(Source::Given(key));
        let sealed = one.seal(InputResponses::new(), b"").await.unwrap();
        two.unseal(&sealed, b"").await.unwrap();
    }
}
