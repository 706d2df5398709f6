//! Both stores in one database, SQLite or Postgres, by the same statements: through the driver of sqlx that takes either, so
//! that there is one implementation to test and not two.

mod artifacts;
mod connection;
mod failure;
mod migrations;
mod servers;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::Clock;
use metrics::{gauge, histogram};
use sqlx::any::Any;
use sqlx::{AnyPool, Transaction};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout};

use crate::artifacts::ArtifactLimits;
use crate::error::StoreError;
use crate::metric_definitions as metric;
use crate::place::Place;
use failure::from_sql;

/// How long a call may take in all.
const PATIENCE: Duration = Duration::from_secs(10);

/// The database, opened when it is first used; cheap to clone, all clones share it.
#[derive(Clone)]
pub struct SqlStore(Arc<Inner>);

struct Inner {
    place: Place,
    limits: ArtifactLimits,
    clock: Clock,
    /// Set when the database is open and its tables are there.
    pool: OnceCell<AnyPool>,
    /// The one writer of this process, for SQLite: writers that wait for each other in here wait in line, and those that
    /// wait in the database ask it again and again.
    writer: Semaphore,
    /// Whether it answered the last time; nothing before the first.
    answers: std::sync::Mutex<Option<bool>>,
}

impl SqlStore {
    /// The database at that place. Nothing is opened yet.
    pub fn new(place: Place, limits: ArtifactLimits) -> Self {
        Self::with_clock(place, limits, Clock::System)
    }

    /// The same with another clock.
    pub fn with_clock(place: Place, limits: ArtifactLimits, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            place,
            limits,
            clock,
            pool: OnceCell::new(),
            writer: Semaphore::new(1),
            answers: std::sync::Mutex::default(),
        }))
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Opens it if it is not, and asks it something.
    ///
    /// # Errors
    /// [`StoreError::Away`], and [`StoreError::NoPlace`] where only the operator can help.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.measured("check", async {
            let pool = self.pool().await?;
            sqlx::query("SELECT 1")
                .execute(pool)
                .await
                .map_err(from_sql)?;
            Ok(())
        })
        .await
    }

    /// Closes its connections, those in use when they come back. For the end of the process.
    pub async fn close(&self) {
        if let Some(pool) = self.0.pool.get() {
            pool.close().await;
        }
    }

    async fn pool(&self) -> Result<&AnyPool, StoreError> {
        let open = || async {
            let place = &self.0.place;
            let pool = connection::pool(place)?;
            let migrated = migrations::run(&pool, place.file().is_some(), self.0.clock).await;
            migrated.map_err(|error| match (error, place.file()) {
                // SQLite does not say which file; often it is one of the two beside it that it can't make.
                (StoreError::NoPlace(why), Some(file)) => {
                    StoreError::NoPlace(format!("{}: {why}", file.display()))
                }
                (error, _) => error,
            })?;
            Ok(pool)
        };
        self.0.pool.get_or_try_init(open).await
    }

    /// A transaction that is alone in writing, in the whole database: what it reads stays so until its end.
    async fn begin(&self) -> Result<Writing<'_>, StoreError> {
        let pool = self.pool().await?;
        let is_file = self.0.place.file().is_some();
        let permit = match is_file {
            true => self.0.writer.acquire().await.ok(),
            false => None,
        };
        let transaction = migrations::begin(pool, is_file).await?;
        Ok(Writing {
            transaction,
            _permit: permit,
        })
    }

    /// Bounds it in time, measures it, and tells when the database goes away and comes back.
    async fn measured<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let outcome = timeout(PATIENCE, work).await.unwrap_or_else(|_| {
            let patience = PATIENCE.as_secs();
            Err(StoreError::Away(format!("no answer within {patience} s")))
        });
        let error = outcome.as_ref().err();
        histogram!(
            metric::OPERATION_DURATION,
            "db_system_name" => self.0.place.system(),
            "db_operation_name" => operation,
            "error_type" => error.map_or("", StoreError::as_str)
        )
        .record(began.elapsed());
        self.tell(error);
        outcome
    }

    /// Logs the change, once.
    fn tell(&self, error: Option<&StoreError>) {
        let failure = error.filter(|error| {
            matches!(
                error,
                StoreError::Away(_) | StoreError::NoPlace(_) | StoreError::Broken(_)
            )
        });
        let answers = failure.is_none();
        gauge!(metric::UP).set(if answers { 1.0 } else { 0.0 });
        let before = {
            let answered = self.0.answers.lock();
            let mut answered = answered.unwrap_or_else(std::sync::PoisonError::into_inner);
            answered.replace(answers)
        };
        match failure {
            Some(error) if before != Some(false) => {
                tracing::error!(database = %self.0.place, "{error}: nothing is published until it answers");
            }
            None if before == Some(false) => {
                tracing::info!(database = %self.0.place, "the database answers again");
            }
            _ => {}
        }
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqlStore").field(&self.0.place).finish()
    }
}

/// A transaction, and the right to have one. Dropped, it is undone.
struct Writing<'a> {
    transaction: Transaction<'static, Any>,
    _permit: Option<tokio::sync::SemaphorePermit<'a>>,
}

impl Writing<'_> {
    fn connection(&mut self) -> &mut sqlx::AnyConnection {
        &mut self.transaction
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await.map_err(from_sql)
    }
}
