//! Published servers.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use mcp_registry::Publication;
use serde_json::Value;

use crate::error::StoreError;

/// Most versions of one server, as in the official registry.
pub const VERSIONS_MAX: u32 = 10_000;
/// Most entries of a page.
pub const PAGE_MAX: u32 = 1_000;

/// Whether a version may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It may.
    Active,
    /// It may, but something else is better.
    Deprecated,
    /// It may not, and lists leave it out; it stays, so that its version is never used again.
    Deleted,
}

impl Status {
    /// Its name in the registry's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Deleted => "deleted",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let all = [Self::Active, Self::Deprecated, Self::Deleted];
        all.into_iter().find(|status| status.as_str() == name)
    }
}

/// A version of a server as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerVersion {
    /// The server's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The `server.json`, with its fields in the order in which they came.
    pub server: Value,
    /// Its tools, an array.
    pub tools: Value,
    /// Hash of both, see [`mcp_registry::content_hash`].
    pub sha256: String,
    /// Whether it may be used.
    pub status: Status,
    /// Why that is so, for people.
    pub status_message: Option<String>,
    /// When that was decided.
    pub status_changed_at: DateTime<Utc>,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// When it was published or its status changed, whichever was last.
    pub updated_at: DateTime<Utc>,
    /// Whether it is the newest of its server, by [`mcp_registry::version::compare`].
    pub is_latest: bool,
}

/// What became of a publication.
#[derive(Clone, Debug, PartialEq)]
pub enum Published {
    /// It is a new version.
    New(ServerVersion),
    /// It was there, with the same content.
    Unchanged(ServerVersion),
}

impl Published {
    /// The version as it is kept now.
    pub fn version(&self) -> &ServerVersion {
        match self {
            Self::New(version) | Self::Unchanged(version) => version,
        }
    }
}

/// Which part of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Only what comes after that name and version.
    pub after: Option<(String, String)>,
    /// Only what was updated later than that.
    pub updated_since: Option<DateTime<Utc>>,
    /// At most so many, 1 to [`PAGE_MAX`].
    pub limit: u32,
}

/// A part of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// In the order of name, then version, both by their bytes.
    pub versions: Vec<ServerVersion>,
    /// Whether there is more behind the last of them.
    pub has_more: bool,
}

/// Published servers, the same ones at every replica that shares the database.
///
/// What every implementation keeps to, and what the contract suite (`tests/it/servers.rs`) tries:
///
/// - A version, once published, never changes its content.
/// - Each call is one step: it is done whole or not at all, whatever dies on the way, and what was answered stays.
/// - Of versions of a server that are published at the same time, exactly one is the latest when all are done, and it
///   is the newest.
/// - Two versions never have the same `updated_at`, and what is published later has a later one, also by replicas
///   whose clocks differ by up to a minute. So who asks for all since the last one seen misses nothing.
/// - After [`StoreError::Away`] nobody knows whether it was done; all calls can be repeated.
pub trait ServerStore: Send + Sync {
    /// Publishes a version. The same content again is [`Published::Unchanged`], and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::VersionConflict`] if the version is there with another content, also if it is deleted;
    /// [`StoreError::RemoteTaken`] if a version of another server that is not deleted has one of its remote URLs;
    /// [`StoreError::TooManyVersions`]; [`StoreError::Away`].
    fn publish<'a>(
        &'a self,
        publication: &'a Publication,
    ) -> BoxFuture<'a, Result<Published, StoreError>>;

    /// One version, whatever its status.
    ///
    /// # Errors
    /// [`StoreError::Away`].
    fn get<'a>(
        &'a self,
        name: &'a str,
        version: &'a str,
    ) -> BoxFuture<'a, Result<Option<ServerVersion>, StoreError>>;

    /// The latest version of a server.
    ///
    /// # Errors
    /// [`StoreError::Away`].
    fn latest<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<ServerVersion>, StoreError>>;

    /// A part of the list of all versions of all servers, whatever their status.
    ///
    /// # Errors
    /// [`StoreError::Away`].
    fn list<'a>(&'a self, query: &'a ListQuery) -> BoxFuture<'a, Result<Page, StoreError>>;
}
