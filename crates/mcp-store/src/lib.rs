#![doc = include_str!("../README.md")]

pub mod artifacts;
pub mod error;
pub mod metric_definitions;
pub mod place;
pub mod servers;
mod sql;

pub use artifacts::{Artifact, ArtifactId, ArtifactLimits, ArtifactStore, Stored};
pub use error::StoreError;
pub use place::Place;
pub use servers::{ListQuery, Page, Published, ServerStore, ServerVersion, Status};
pub use sql::SqlStore;
