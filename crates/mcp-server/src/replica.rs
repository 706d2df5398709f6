//! What one replica holds while it runs. Nothing in it must survive it, and nothing in it is a caller's alone: a request
//! that refers to something here finds it from any replica, through the relay.

mod states;

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::model::InputResponses;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::caller::pending::Pending;
use crate::config::ServerConfig;
use crate::redis_link::RedisLink;
use crate::relay::Relay;
use crate::running::Running;
use crate::sessions::Sessions;
use crate::tasks::{TaskStore, Tasks};
use states::{Source, States};

/// One replica of the server.
pub(crate) struct Replica {
    pub(crate) id: Arc<str>,
    pub(crate) pending: Pending,
    pub(crate) sessions: Sessions,
    pub(crate) tasks: Tasks,
    pub(crate) running: Running,
    pub(crate) relay: Relay,
    /// No new work comes: streams that wait for news end.
    pub(crate) draining: CancellationToken,
    /// What is still under way ends.
    pub(crate) ended: CancellationToken,
    states: States,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("id", &self.id).finish()
    }
}

impl Replica {
    /// A replica with a name of its own. To be called within a tokio runtime.
    pub(crate) fn new(config: &ServerConfig, redis: Option<&RedisLink>) -> Arc<Self> {
        let (relay, store, source) = match redis {
            Some(link) => (
                Relay::redis(link),
                TaskStore::Redis(link.clone()),
                Source::Redis(link.clone()),
            ),
            None => (Relay::None, TaskStore::memory(), Source::Own),
        };
        let source = config.state_key.clone().map_or(source, Source::Given);
        let id: Arc<str> = Uuid::new_v4().simple().to_string().into();
        let ended = CancellationToken::new();
        if let Some(link) = redis.cloned() {
            tokio::spawn(ended.clone().run_until_cancelled_owned(link.follow()));
        }
        Arc::new(Self {
            pending: Pending::new(Arc::clone(&id)),
            sessions: Sessions::new(Arc::clone(&id)),
            tasks: Tasks::new(Arc::clone(&id), store),
            running: Running::default(),
            relay,
            draining: CancellationToken::new(),
            ended,
            states: States::new(source),
            id,
        })
    }

    /// Ends what only waits.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
        self.sessions.drain();
    }

    /// Signs the answers for the client to keep. Only the same caller, with the same request, can bring them back.
    ///
    /// # Errors
    /// When there is too much to keep, or no key.
    pub(crate) async fn seal(
        &self,
        answers: InputResponses,
        bound_to: &[u8],
    ) -> Result<String, ErrorData> {
        self.states.seal(answers, bound_to).await
    }

    /// What [`Replica::seal`] signed.
    ///
    /// # Errors
    /// When it was not signed for this, has expired, or there is no key.
    pub(crate) async fn unseal(
        &self,
        state: &str,
        bound_to: &[u8],
    ) -> Result<InputResponses, ErrorData> {
        self.states.unseal(state, bound_to).await
    }
}
