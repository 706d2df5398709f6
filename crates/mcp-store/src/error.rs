//! What a store can refuse, and what can go wrong with it.

use mcp_core::{ErrorCode, Failure};
use serde_json::json;

/// Why a store did not do what it was asked. No text in it holds a part of `DATABASE_URL`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached, does not answer in time, or is busy. Another try may help.
    #[error("the database is away: {0}")]
    Away(String),
    /// There is no place for the database: none was named, or it can't be made. The operator has to act.
    #[error("there is no database: {0}")]
    NoPlace(String),
    /// The database answered what it should not; a defect, or somebody else's hand in it.
    #[error("the database answered wrongly: {0}")]
    Broken(String),
    /// The version is published with another content, which stays.
    #[error(
        "{name} {version} is published already, with another content (sha256 {published}): a version never changes, \
         so publish under a new one"
    )]
    VersionConflict {
        /// The server's name.
        name: String,
        /// Its version.
        version: String,
        /// Hash of the published content, in hexadecimal.
        published: String,
    },
    /// Another server has that remote URL.
    #[error("the URL of remote {index} belongs to {owner}: two servers can't have the same one")]
    RemoteTaken {
        /// Which of the remotes, from 0.
        index: usize,
        /// The name of the server that has it.
        owner: String,
    },
    /// The server has as many versions as one may have.
    #[error("{name} has {max} versions, which is the most that a server may have")]
    TooManyVersions {
        /// The server's name.
        name: String,
        /// How many that are.
        max: u32,
    },
    /// The artifact is larger than one may be.
    #[error("the artifact has {size} bytes; the most are {max}")]
    ArtifactTooLarge {
        /// Its size, in bytes.
        size: usize,
        /// [`each`](crate::ArtifactLimits::each).
        max: usize,
    },
    /// The artifacts that have not expired yet leave no room.
    #[error("artifacts take {max} bytes, which is all they may: some must expire first")]
    ArtifactsFull {
        /// [`total`](crate::ArtifactLimits::total).
        max: u64,
    },
}

impl StoreError {
    /// The name in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Away(_) => "away",
            Self::NoPlace(_) => "no-place",
            Self::Broken(_) => "broken",
            Self::VersionConflict { .. } => "version-conflict",
            Self::RemoteTaken { .. } => "remote-taken",
            Self::TooManyVersions { .. } => "too-many-versions",
            Self::ArtifactTooLarge { .. } => "artifact-too-large",
            Self::ArtifactsFull { .. } => "artifacts-full",
        }
    }
}

/// For a tool's answer: the code says whether to try again.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Away(_) => Failure::new(
                ErrorCode::ToolUnavailable,
                format!("{message}; try again later"),
            ),
            StoreError::NoPlace(_) | StoreError::ArtifactsFull { .. } => {
                Failure::new(ErrorCode::ToolUnavailable, message)
            }
            StoreError::Broken(_) | StoreError::TooManyVersions { .. } => {
                Failure::new(ErrorCode::ToolFailed, message)
            }
            StoreError::VersionConflict {
                name,
                version,
                published,
            } => Failure::new(ErrorCode::VersionConflict, message)
                .with_detail(json!({"name": name, "version": version, "publishedSha256": published})),
            StoreError::RemoteTaken { index, owner } => {
                Failure::new(ErrorCode::InvalidArguments, message).with_detail(
                    json!({"issues": [{"pointer": format!("/server/remotes/{index}/url"), "rule": "remote-url-taken", "owner": owner}]}),
                )
            }
            StoreError::ArtifactTooLarge { .. } => Failure::new(ErrorCode::ToolFailed, message),
        }
    }
}
