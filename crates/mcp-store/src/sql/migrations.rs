//! The tables: made and changed at the start, by whichever replica is first.

use mcp_core::Clock;
use sqlx::any::Any;
use sqlx::{AnyPool, Row as _, Transaction};
use tokio::time::{Duration, sleep};

use super::failure::from_sql;
use crate::error::StoreError;

/// The steps, each for SQLite and for Postgres; a step's number is its place here, from 1.
const STEPS: &[[&str; 2]] = &[[
    include_str!("../../migrations/sqlite/0001_servers_and_artifacts.sql"),
    include_str!("../../migrations/postgres/0001_servers_and_artifacts.sql"),
]];
/// The lock of all who write, in Postgres; a number that others in the same database don't have: "mcp-hybr".
const LOCK: i64 = 0x6d63_702d_6879_6272;

/// Brings the tables up to date, in one transaction with the note that they are: sqlx's own migrations take no lock in
/// SQLite, where several processes may start over one file as well.
pub(super) async fn run(pool: &AnyPool, is_file: bool, clock: Clock) -> Result<(), StoreError> {
    if is_file {
        write_ahead(pool).await?;
    }
    let mut transaction = begin(pool, is_file).await?;
    let note = "CREATE TABLE IF NOT EXISTS mcp_hybrid_migrations \
                (step BIGINT NOT NULL PRIMARY KEY, done_at BIGINT NOT NULL)";
    sqlx::query(note)
        .execute(&mut *transaction)
        .await
        .map_err(from_sql)?;
    let done = "SELECT COALESCE(MAX(step), 0) FROM mcp_hybrid_migrations";
    let done = sqlx::query(done)
        .fetch_one(&mut *transaction)
        .await
        .map_err(from_sql)?;
    let done: i64 = done.try_get(0).map_err(from_sql)?;
    // A newer version may have been here. What it did fits this one too: that is how steps are made.
    for (number, step) in (1i64..).zip(STEPS).filter(|(number, _)| *number > done) {
        let [sqlite, postgres] = *step;
        let step = if is_file { sqlite } else { postgres };
        sqlx::raw_sql(step)
            .execute(&mut *transaction)
            .await
            .map_err(from_sql)?;
        sqlx::query("INSERT INTO mcp_hybrid_migrations (step, done_at) VALUES ($1, $2)")
            .bind(number)
            .bind(clock.now().timestamp_micros())
            .execute(&mut *transaction)
            .await
            .map_err(from_sql)?;
        tracing::info!(step = number, "the database was migrated");
    }
    transaction.commit().await.map_err(from_sql)
}

/// A transaction that is the only one that writes.
pub(super) async fn begin(
    pool: &AnyPool,
    is_file: bool,
) -> Result<Transaction<'static, Any>, StoreError> {
    if is_file {
        return pool.begin_with("BEGIN IMMEDIATE").await.map_err(from_sql);
    }
    let mut transaction = pool.begin().await.map_err(from_sql)?;
    // As text: the driver for either database knows no void.
    sqlx::query("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(from_sql)?;
    Ok(transaction)
}

/// Lets readers go on while one writes. The file remembers it, and who changes it must be alone: SQLite does not wait for
/// that, so this does; the caller's patience bounds it.
async fn write_ahead(pool: &AnyPool) -> Result<(), StoreError> {
    const PAUSE: Duration = Duration::from_millis(20);
    loop {
        let mode = sqlx::query("PRAGMA journal_mode = WAL")
            .fetch_one(pool)
            .await;
        match mode.map_err(from_sql) {
            Ok(_) => return Ok(()),
            Err(StoreError::Away(text)) if text.contains("locked") => sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}
