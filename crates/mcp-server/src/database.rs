//! The database that the operator has named: opened at the start, and looked at from then on.
//!
//! While it is away only what needs it fails, and `/ready` says so but stays ready: a replica that takes no calls at all
//! would help no one, for the others have the same database.

use std::time::Duration;

use anyhow::Context as _;
use mcp_runtime::Notice;
use mcp_store::{SqlStore, StoreError};
use tokio_util::sync::CancellationToken;

/// How often it is asked something.
const PERIOD: Duration = Duration::from_secs(5);

/// Opens it. One that is away is no reason not to start; one that only the operator can help is.
///
/// # Errors
/// When the file can't be written, or the server refuses this user or has no such database.
pub(crate) async fn open(store: &SqlStore) -> anyhow::Result<()> {
    // A file that nobody has named may never be needed.
    if !store.place().is_named() {
        return Ok(());
    }
    match store.check().await {
        Err(error @ StoreError::NoPlace(_)) => Err(error).context("DATABASE_URL"),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Keeps the notice true.
pub(crate) async fn follow(store: SqlStore, notice: Notice, until: CancellationToken) {
    if !store.place().is_named() {
        return;
    }
    loop {
        match store.check().await {
            Ok(()) => notice.clear(),
            Err(error) => notice.says(error.to_string()),
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = until.cancelled() => return,
        }
    }
}
