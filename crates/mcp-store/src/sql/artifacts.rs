//! Artifacts in table `artifacts`.

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use mcp_core::text::bounded;
use sqlx::{AnyConnection, Row as _};

use super::SqlStore;
use super::failure::from_sql;
use crate::artifacts::{Artifact, ArtifactId, ArtifactStore, Stored};
use crate::error::StoreError;

/// Longest media type that is kept, in bytes.
const MEDIA_TYPE_MAX: usize = 100;

impl ArtifactStore for SqlStore {
    fn put(&self, artifact: Artifact) -> BoxFuture<'_, Result<Stored, StoreError>> {
        let work = async move {
            let limits = self.0.limits;
            let size = artifact.bytes.len();
            limits.admit(size, 0)?;
            let id = ArtifactId::of(&artifact.bytes);
            let now = self.0.clock.now();
            let keep = TimeDelta::from_std(limits.keep).unwrap_or(TimeDelta::days(365));
            let expires_at = now + keep;
            let mut writing = self.begin().await?;
            let connection = writing.connection();
            drop_expired(connection, now).await?;
            let others =
                "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM artifacts WHERE id <> $1";
            let others = sqlx::query(others)
                .bind(id.as_str())
                .fetch_one(&mut *connection);
            let others: i64 = others
                .await
                .map_err(from_sql)?
                .try_get(0)
                .map_err(from_sql)?;
            if let Err(refused) = limits.admit(size, unsigned(others)) {
                // What has expired is gone all the same.
                writing.commit().await?;
                return Err(refused);
            }
            sqlx::query(
                "INSERT INTO artifacts (id, media_type, size, expires_at, bytes) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at",
            )
            .bind(id.as_str())
            .bind(bounded(&artifact.media_type, MEDIA_TYPE_MAX))
            .bind(i64::try_from(size).unwrap_or(i64::MAX))
            .bind(expires_at.timestamp_micros())
            .bind(artifact.bytes)
            .execute(&mut *connection)
            .await
            .map_err(from_sql)?;
            writing.commit().await?;
            Ok(Stored { id, expires_at })
        };
        self.measured("put-artifact", work).boxed()
    }

    fn has_room(&self, size: usize) -> BoxFuture<'_, Result<(), StoreError>> {
        let work = async move {
            let row = sqlx::query(
                "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM artifacts WHERE expires_at > $1",
            )
            .bind(self.0.clock.now().timestamp_micros())
            .fetch_one(self.pool().await?);
            let taken: i64 = row.await.map_err(from_sql)?.try_get(0).map_err(from_sql)?;
            self.0.limits.admit(size, unsigned(taken))
        };
        self.measured("room-for-artifact", work).boxed()
    }

    fn get<'a>(
        &'a self,
        id: &'a ArtifactId,
    ) -> BoxFuture<'a, Result<Option<Artifact>, StoreError>> {
        let work = async move {
            let row = sqlx::query(
                "SELECT media_type, bytes FROM artifacts WHERE id = $1 AND expires_at > $2",
            )
            .bind(id.as_str())
            .bind(self.0.clock.now().timestamp_micros())
            .fetch_optional(self.pool().await?);
            let Some(row) = row.await.map_err(from_sql)? else {
                return Ok(None);
            };
            let artifact = Artifact {
                media_type: row.try_get("media_type").map_err(from_sql)?,
                bytes: row.try_get("bytes").map_err(from_sql)?,
            };
            if ArtifactId::of(&artifact.bytes) != *id {
                return Err(StoreError::Broken(format!("{id} has other bytes")));
            }
            Ok(Some(artifact))
        };
        self.measured("get-artifact", work).boxed()
    }

    fn expire(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        let work = async move {
            let mut writing = self.begin().await?;
            let dropped = drop_expired(writing.connection(), self.0.clock.now()).await?;
            writing.commit().await?;
            Ok(dropped)
        };
        self.measured("expire-artifacts", work).boxed()
    }
}

/// A sum of sizes; less than nothing counts as full.
fn unsigned(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// At most a thousand of them, so that it takes no longer than a write may.
async fn drop_expired(
    connection: &mut AnyConnection,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let dropped = sqlx::query(
        "DELETE FROM artifacts WHERE id IN \
         (SELECT id FROM artifacts WHERE expires_at <= $1 ORDER BY expires_at LIMIT 1000)",
    )
    .bind(now.timestamp_micros())
    .execute(connection);
    Ok(dropped.await.map_err(from_sql)?.rows_affected())
}
