//! Connections: how many, how they are made, and how long they are waited for.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Once;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, ConnectOptions as _, Executor as _};
use url::Url;

use crate::error::StoreError;
use crate::place::{ALLOWED, Place};

/// Connections of one process.
const CONNECTIONS: u32 = 8;
/// How long a free connection, and a new one, is waited for.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long one that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(300);
/// Bounds that Postgres keeps for us, so that nothing goes on there that nobody waits for here: a statement, the
/// wait for a lock, and a transaction whose process is stuck.
const POSTGRES_BOUNDS: &str = "SET statement_timeout = '8s'; SET lock_timeout = '8s'; \
     SET idle_in_transaction_session_timeout = '15s'; SET application_name = 'mcp-hybrid'";

static DRIVERS: Once = Once::new();

/// The pool; connections are made when they are needed.
pub(super) fn pool(place: &Place) -> Result<AnyPool, StoreError> {
    // sqlx has one list of drivers in the process, and panics without it.
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let options = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(IDLE);
    let (options, url) = match place {
        Place::Sqlite(path) => (options, file_url(path)?),
        Place::Implied(path) => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|error| no_place(path, &error))?;
            }
            (options, file_url(path)?)
        }
        Place::Postgres(url) => {
            let options = options.after_connect(|connection, _| {
                let setting = connection.execute(sqlx::raw_sql(POSTGRES_BOUNDS));
                Box::pin(async move { setting.await.map(drop) })
            });
            (options, url.expose().to_owned())
        }
        Place::Nowhere => {
            return Err(StoreError::NoPlace(format!(
                "set DATABASE_URL to {ALLOWED}; without it a file in STATE_DIRECTORY, XDG_STATE_HOME or HOME is used, \
                 and none of them is set"
            )));
        }
    };
    let url = AnyConnectOptions::from_str(&url)
        .map_err(|_| StoreError::NoPlace(format!("DATABASE_URL must be {ALLOWED}")))?;
    Ok(options.connect_lazy_with(url.disable_statement_logging()))
}

/// The file must be one that can be written: SQLite itself says only that it can't be opened.
fn file_url(path: &Path) -> Result<String, StoreError> {
    let path = std::path::absolute(path).map_err(|error| no_place(path, &error))?;
    let opened = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path);
    opened.map_err(|error| no_place(&path, &error))?;
    let url = Url::from_file_path(&path)
        .map_err(|()| no_place(&path, &std::io::ErrorKind::InvalidInput.into()))?;
    Ok(format!("sqlite:{}", url.path()))
}

fn no_place(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::NoPlace(format!(
        "{} can't be written ({error}): name a file in a folder that can, in DATABASE_URL=sqlite:/path/to/file (SQLite puts \
         two more files beside it), or use Postgres",
        path.display()
    ))
}
