//! Published servers in tables `server_versions` and `server_remotes`.

use std::cmp::Ordering;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use mcp_registry::{Publication, version};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::failure::from_sql;
use super::{SqlStore, Writing};
use crate::error::StoreError;
use crate::servers::{
    ListQuery, PAGE_MAX, Page, Published, ServerStore, ServerVersion, Status, VERSIONS_MAX,
};

/// A clock that is further behind the newest entry is taken at its word: the other one was wrong.
const SKEW_MAX: TimeDelta = TimeDelta::minutes(1);

/// The columns of [`read`].
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT name, version, sha256, server, tools, status, status_message, status_changed_at, published_at, \
             updated_at, is_latest FROM server_versions ",
            $rest
        )
    };
}

impl ServerStore for SqlStore {
    fn publish<'a>(
        &'a self,
        publication: &'a Publication,
    ) -> BoxFuture<'a, Result<Published, StoreError>> {
        let work = async move {
            let mut writing = self.begin().await?;
            let now = self.0.clock.now();
            let published = publish(&mut writing, publication, now).await?;
            writing.commit().await?;
            Ok(published)
        };
        self.measured("publish", work).boxed()
    }

    fn get<'a>(
        &'a self,
        name: &'a str,
        version: &'a str,
    ) -> BoxFuture<'a, Result<Option<ServerVersion>, StoreError>> {
        let work = async move {
            let row = sqlx::query(select!("WHERE name = $1 AND version = $2"))
                .bind(name)
                .bind(version)
                .fetch_optional(self.pool().await?);
            row.await.map_err(from_sql)?.as_ref().map(read).transpose()
        };
        self.measured("get", work).boxed()
    }

    fn latest<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ServerVersion>, StoreError>> {
        let work = async move {
            let row = sqlx::query(select!("WHERE name = $1 AND is_latest = 1"))
                .bind(name)
                .fetch_optional(self.pool().await?);
            row.await.map_err(from_sql)?.as_ref().map(read).transpose()
        };
        self.measured("latest", work).boxed()
    }

    fn list<'a>(&'a self, query: &'a ListQuery) -> BoxFuture<'a, Result<Page, StoreError>> {
        let work = async move {
            let limit = query.limit.clamp(1, PAGE_MAX);
            let (name, version) = match &query.after {
                Some((name, version)) => (&**name, &**version),
                None => ("", ""),
            };
            let since = query
                .updated_since
                .map_or(i64::MIN, |at| at.timestamp_micros());
            let rows = sqlx::query(select!(
                "WHERE (name, version) > ($1, $2) AND updated_at > $3 ORDER BY name, version LIMIT $4"
            ))
            .bind(name)
            .bind(version)
            .bind(since)
            .bind(i64::from(limit) + 1)
            .fetch_all(self.pool().await?)
            .await
            .map_err(from_sql)?;
            let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
            let versions = rows.iter().take(wanted).map(read);
            Ok(Page {
                versions: versions.collect::<Result<_, _>>()?,
                has_more: rows.len() > wanted,
            })
        };
        self.measured("list", work).boxed()
    }
}

/// The whole of a publication; nobody else writes meanwhile.
async fn publish(
    writing: &mut Writing<'_>,
    publication: &Publication,
    now: DateTime<Utc>,
) -> Result<Published, StoreError> {
    let (name, version) = (publication.name(), publication.version());
    let connection = writing.connection();
    let there = sqlx::query(select!("WHERE name = $1 AND version = $2"))
        .bind(name)
        .bind(version)
        .fetch_optional(&mut *connection);
    if let Some(row) = there.await.map_err(from_sql)? {
        let there = read(&row)?;
        if there.sha256 == publication.sha256() {
            return Ok(Published::Unchanged(there));
        }
        return Err(StoreError::VersionConflict {
            name: there.name,
            version: there.version,
            published: there.sha256,
        });
    }
    refuse_taken_remotes(connection, publication).await?;
    let at = next_moment(connection, now).await?;
    let latest = latest_of(connection, name).await?;
    let is_latest = latest.is_none_or(|(latest, published_at)| {
        version::compare((version, at), (&latest, published_at)) == Ordering::Greater
    });
    if is_latest {
        sqlx::query("UPDATE server_versions SET is_latest = 0 WHERE name = $1 AND is_latest = 1")
            .bind(name)
            .execute(&mut *connection)
            .await
            .map_err(from_sql)?;
    }
    let new = ServerVersion {
        name: name.to_owned(),
        version: version.to_owned(),
        server: publication.server().clone(),
        tools: publication.tools().clone(),
        sha256: publication.sha256().to_owned(),
        status: Status::Active,
        status_message: None,
        status_changed_at: at,
        published_at: at,
        updated_at: at,
        is_latest,
    };
    insert(connection, &new).await?;
    for url in publication.remote_urls() {
        sqlx::query(
            "INSERT INTO server_remotes (url, name, version) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(url)
        .bind(name)
        .bind(version)
        .execute(&mut *connection)
        .await
        .map_err(from_sql)?;
    }
    Ok(Published::New(new))
}

async fn refuse_taken_remotes(
    connection: &mut AnyConnection,
    publication: &Publication,
) -> Result<(), StoreError> {
    for (index, url) in publication.remote_urls().enumerate() {
        let owner = sqlx::query(
            "SELECT r.name FROM server_remotes r \
             JOIN server_versions v ON v.name = r.name AND v.version = r.version \
             WHERE r.url = $1 AND r.name <> $2 AND v.status <> 'deleted' ORDER BY r.name LIMIT 1",
        )
        .bind(url)
        .bind(publication.name())
        .fetch_optional(&mut *connection);
        if let Some(row) = owner.await.map_err(from_sql)? {
            let owner = row.try_get(0).map_err(from_sql)?;
            return Err(StoreError::RemoteTaken { index, owner });
        }
    }
    Ok(())
}

/// Now, or just behind the newest entry where another replica's clock was a little ahead of this one.
async fn next_moment(
    connection: &mut AnyConnection,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, StoreError> {
    let newest = sqlx::query("SELECT COALESCE(MAX(updated_at), 0) FROM server_versions")
        .fetch_one(connection);
    let newest: i64 = newest
        .await
        .map_err(from_sql)?
        .try_get(0)
        .map_err(from_sql)?;
    let after = moment(newest)? + TimeDelta::microseconds(1);
    // As exact as what is stored.
    let now = moment(now.timestamp_micros())?;
    let is_skewed = after > now && after - now <= SKEW_MAX;
    Ok(if is_skewed { after } else { now })
}

/// The latest version of that server and when it was published, if it has room for another one.
async fn latest_of(
    connection: &mut AnyConnection,
    name: &str,
) -> Result<Option<(String, DateTime<Utc>)>, StoreError> {
    let count = sqlx::query("SELECT COUNT(*) FROM server_versions WHERE name = $1")
        .bind(name)
        .fetch_one(&mut *connection);
    let count: i64 = count
        .await
        .map_err(from_sql)?
        .try_get(0)
        .map_err(from_sql)?;
    if count >= i64::from(VERSIONS_MAX) {
        return Err(StoreError::TooManyVersions {
            name: name.to_owned(),
            max: VERSIONS_MAX,
        });
    }
    let latest = sqlx::query(
        "SELECT version, published_at FROM server_versions WHERE name = $1 AND is_latest = 1",
    )
    .bind(name)
    .fetch_optional(connection);
    let Some(row) = latest.await.map_err(from_sql)? else {
        return Ok(None);
    };
    let version = row.try_get("version").map_err(from_sql)?;
    let published_at = row.try_get("published_at").map_err(from_sql)?;
    Ok(Some((version, moment(published_at)?)))
}

async fn insert(connection: &mut AnyConnection, new: &ServerVersion) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO server_versions (name, version, sha256, server, tools, status, status_changed_at, published_at, \
         updated_at, is_latest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&*new.name)
    .bind(&*new.version)
    .bind(&*new.sha256)
    .bind(new.server.to_string())
    .bind(new.tools.to_string())
    .bind(new.status.as_str())
    .bind(new.status_changed_at.timestamp_micros())
    .bind(new.published_at.timestamp_micros())
    .bind(new.updated_at.timestamp_micros())
    .bind(i16::from(new.is_latest))
    .execute(connection)
    .await
    .map_err(from_sql)?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<ServerVersion, StoreError> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(from_sql);
    let at = |column: &str| moment(row.try_get(column).map_err(from_sql)?);
    let json = |column: &str| {
        serde_json::from_str(&text(column)?)
            .map_err(|error| StoreError::Broken(format!("column {column}: {error}")))
    };
    let status = text("status")?;
    Ok(ServerVersion {
        name: text("name")?,
        version: text("version")?,
        server: json("server")?,
        tools: json("tools")?,
        sha256: text("sha256")?,
        status: Status::parse(&status)
            .ok_or_else(|| StoreError::Broken(format!("column status: {status}")))?,
        status_message: row.try_get("status_message").map_err(from_sql)?,
        status_changed_at: at("status_changed_at")?,
        published_at: at("published_at")?,
        updated_at: at("updated_at")?,
        is_latest: row.try_get::<i64, _>("is_latest").map_err(from_sql)? == 1,
    })
}

fn moment(micros: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| StoreError::Broken(format!("{micros} is no moment")))
}
