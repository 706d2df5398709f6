//! The connection to Redis: made when it is first used, made again when it breaks, and never waited for for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mcp_core::Secret;
use metrics::gauge;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tokio::time::timeout;

use crate::metric_definitions as metric;

/// How long an answer, and a connection, may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pauses between two tries to connect.
const RECONNECT_FIRST: Duration = Duration::from_millis(50);
const RECONNECT_LAST: Duration = Duration::from_millis(500);

/// Redis did not answer, or with an error; the log says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RedisAway;

/// The connection; cheap to clone, all clones share it.
#[derive(Clone)]
pub(crate) struct RedisLink {
    client: Arc<Client>,
    connection: ConnectionManager,
    is_away: Arc<AtomicBool>,
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
        gauge!(metric::REDIS_UP).set(1.0);
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client.clone(), settings)?,
            client: Arc::new(client),
            is_away: Arc::default(),
        })
    }

    /// For single commands.
    pub(crate) fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }

    /// For a connection that is not shared.
    pub(crate) fn client(&self) -> Client {
        Client::clone(&self.client)
    }

    /// Runs a script, twice if the connection turns out to be broken: that shows only when it is used. So a script must
    /// be one that may run twice.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisAway> {
        let mut connection = self.connection.clone();
        let twice = async {
            match script.invoke_async(&mut connection).await {
                Err(error) if is_broken(&error) => script.invoke_async(&mut connection).await,
                answer => answer,
            }
        };
        let answer = timeout(PATIENCE, twice).await;
        let failure = match answer {
            Ok(Ok(value)) => {
                self.tell(false, "");
                return Ok(value);
            }
            Ok(Err(error)) => error.category().to_owned(),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        self.tell(true, &failure);
        Err(RedisAway)
    }

    /// Logs the change, once.
    fn tell(&self, is_away: bool, failure: &str) {
        if self.is_away.load(Ordering::Relaxed) == is_away {
            return;
        }
        if self.is_away.swap(is_away, Ordering::Relaxed) == is_away {
            return;
        }
        gauge!(metric::REDIS_UP).set(if is_away { 0.0 } else { 1.0 });
        if is_away {
            tracing::error!(
                "Redis does not answer ({failure}): calls with an idempotency key are refused until it does"
            );
        } else {
            tracing::info!("Redis answers again");
        }
    }
}

fn is_broken(error: &RedisError) -> bool {
    !error.is_timeout() && (error.is_connection_dropped() || error.is_io_error())
}
