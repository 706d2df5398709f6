//! The connection to Redis: made when it is first used, made anew when it breaks or says nothing, and never waited for for
//! long.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_core::Secret;
use metrics::{Gauge, gauge};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tokio::time::{sleep, timeout};

use crate::metric_definitions as metric;

/// How long an answer, and a connection, may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// How often a connection is tried that nobody uses.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);
/// Pauses between two tries to connect.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_LAST: Duration = Duration::from_millis(500);

/// What is known of Redis.
const UNKNOWN: u8 = 0;
const THERE: u8 = 1;
const AWAY: u8 = 2;

/// Redis did not answer, or with an error; the log says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RedisAway;

/// The connection; cheap to clone, all clones share it.
#[derive(Clone)]
pub(crate) struct RedisLink(Arc<Link>);

struct Link {
    client: Client,
    settings: ConnectionManagerConfig,
    /// The connection of this moment, and which one that is.
    connection: Mutex<(u64, ConnectionManager)>,
    state: AtomicU8,
    up: Gauge,
}

impl RedisLink {
    /// The link; nothing is sent yet. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// When it can't be set up at all.
    pub(crate) fn new(url: &Secret) -> RedisResult<Self> {
        let settings = ConnectionManagerConfig::new()
            .set_min_delay(RECONNECT_FIRST)
            .set_max_delay(RECONNECT_LAST)
            .set_number_of_retries(1)
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE));
        let client = Client::open(url.expose())?;
        let first = ConnectionManager::new_lazy_with_config(client.clone(), settings.clone())?;
        let up = gauge!(metric::REDIS_UP);
        up.set(0.0);
        Ok(Self(Arc::new(Link {
            client,
            settings,
            connection: Mutex::new((0, first)),
            state: AtomicU8::new(UNKNOWN),
            up,
        })))
    }

    /// For a connection that is not shared.
    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// Asks Redis now and then whether it is there, so that this is known, and so that a connection whose other side is
    /// gone without a word is replaced before it is needed.
    pub(crate) async fn follow(self) {
        loop {
            let ping = async |mut connection| redis::cmd("PING").query_async(&mut connection).await;
            let _: RedisResult<String> = self.exchange(ping).await;
            sleep(HEARTBEAT).await;
        }
    }

    /// Sends something and waits for its answer. A connection that gives none in time is not used again.
    ///
    /// # Errors
    /// What Redis says, or that it says nothing.
    pub(crate) async fn exchange<T, F>(
        &self,
        ask: impl FnOnce(ConnectionManager) -> F,
    ) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let (which, connection) = self.connection().clone();
        let answer = timeout(PATIENCE, ask(connection)).await;
        let answer = answer.unwrap_or_else(|_| {
            let what = format!("no answer within {} s", PATIENCE.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, what).into())
        });
        match &answer {
            Ok(_) => self.tell(THERE, ""),
            Err(error) => {
                // One that breaks makes itself anew.
                if error.is_timeout() {
                    self.replace(which);
                }
                self.tell(AWAY, error.category());
            }
        }
        answer
    }

    /// Runs a script, twice if the connection turns out to be broken: that shows only when it is used. So a script must
    /// be one that may run twice.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisAway> {
        let twice = async |mut connection: ConnectionManager| match script
            .invoke_async(&mut connection)
            .await
        {
            Err(error) if is_broken(&error) => script.invoke_async(&mut connection).await,
            answer => answer,
        };
        self.exchange(twice).await.map_err(|_| RedisAway)
    }

    fn connection(&self) -> std::sync::MutexGuard<'_, (u64, ConnectionManager)> {
        // A panic elsewhere leaves the pair whole.
        let connection = &self.0.connection;
        connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection in the place of that one, if nobody has yet.
    fn replace(&self, which: u64) {
        let mut connection = self.connection();
        if connection.0 != which {
            return;
        }
        let (client, settings) = (self.0.client.clone(), self.0.settings.clone());
        match ConnectionManager::new_lazy_with_config(client, settings) {
            Ok(new) => *connection = (which + 1, new),
            // As at the start, where it went well.
            Err(error) => tracing::error!(%error, "Redis can't be connected to anew"),
        }
    }

    /// Logs the change, once.
    fn tell(&self, state: u8, failure: &str) {
        let link = &self.0;
        if link.state.load(Ordering::Relaxed) == state {
            return;
        }
        let before = link.state.swap(state, Ordering::Relaxed);
        if before == state {
            return;
        }
        link.up.set(if state == THERE { 1.0 } else { 0.0 });
        if state == AWAY {
            tracing::error!(
                "Redis does not answer ({failure}): calls with an idempotency key are refused until it does"
            );
        } else if before == AWAY {
            tracing::info!("Redis answers again");
        }
    }
}

fn is_broken(error: &RedisError) -> bool {
    !error.is_timeout() && (error.is_connection_dropped() || error.is_io_error())
}
