//! What clients of 2026-07-28 carry from one request of a call to the next: signed, so that it can be believed.

use std::time::Duration;

use mcp_core::Secret;
use redis::aio::ConnectionManager;
use rmcp::ErrorData;
use rmcp::model::{InputResponses, RequestStateCodec, SealOptions};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// How long a client may take to come back with its answers.
const TTL: Duration = Duration::from_secs(3600);
/// Largest `requestState`, in bytes.
const STATE_MAX: usize = 64 * 1024;
/// Where replicas keep the key that they share.
const KEY: &str = "mcp-hybrid:state-key";

/// Where the key comes from.
pub(super) enum Source {
    /// The operator gave it.
    Given(Secret),
    /// The first replica that needs it makes one for all.
    Redis(ConnectionManager),
    /// Made at the start, for a replica that is alone.
    Own,
}

/// Signs and believes states.
pub(super) struct States {
    source: Source,
    codec: OnceCell<RequestStateCodec>,
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
            codec: OnceCell::new(),
        }
    }

    pub(super) async fn seal(
        &self,
        answers: InputResponses,
        bound_to: &[u8],
    ) -> Result<String, ErrorData> {
        let options = SealOptions::new().associated_data(bound_to).ttl(TTL);
        let state = serde_json::to_vec(&State { answers }).unwrap_or_default();
        let sealed = self.codec().await?.seal_with(&state, &options);
        if sealed.len() > STATE_MAX {
            let what = "the answers of this call are too large to be carried along";
            return Err(ErrorData::invalid_params(what, None));
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
        let opened = self
            .codec()
            .await?
            .open_with(state, bound_to)
            .map_err(|error| refused(format!("`requestState` is not this request's: {error}")))?;
        let state: State = serde_json::from_slice(&opened)
            .map_err(|_| refused("`requestState` is not of this version".into()))?;
        Ok(state.answers)
    }

    async fn codec(&self) -> Result<&RequestStateCodec, ErrorData> {
        let made = self.codec.get_or_try_init(async || {
            let key = self.key().await.map_err(|error| {
                tracing::warn!(%error, "the key that signs states can't be had from Redis");
            })?;
            RequestStateCodec::try_new(key.expose().as_bytes()).map_err(|error| {
                tracing::warn!(%error, "the key that signs states is no good");
            })
        });
        made.await
            .map_err(|()| ErrorData::internal_error("no state can be signed or read now", None))
    }

    async fn key(&self) -> redis::RedisResult<Secret> {
        match &self.source {
            Source::Given(key) => Ok(key.clone()),
            Source::Own => Ok(Secret::new(random())),
            Source::Redis(connection) => {
                let mut connection = connection.clone();
                let mut offer = redis::cmd("SET");
                offer.arg(KEY).arg(random()).arg("NX");
                let _: Option<String> = offer.query_async(&mut connection).await?;
                let key: String = redis::cmd("GET")
                    .arg(KEY)
                    .query_async(&mut connection)
                    .await?;
                Ok(Secret::new(key))
            }
        }
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
