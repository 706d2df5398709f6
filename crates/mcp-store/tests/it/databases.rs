//! The databases of the tests, and what is published in them.

use std::sync::LazyLock;

use mcp_core::{Clock, Secret};
use mcp_registry::{Publication, Validator};
use mcp_store::{ArtifactLimits, Place, Published, ServerStore as _, ServerVersion, SqlStore};
use mcp_testkit::Postgres;
use serde_json::{Value, json};
use sqlx::AnyPool;
use tempfile::TempDir;

/// Makes a test of each function for each database: it gets a [`Database`] of its own.
macro_rules! on_every_database {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::databases::Database::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::databases::Database::postgres().await).await;
            })+
        }
    };
}
pub(crate) use on_every_database;

/// An empty database.
pub(crate) struct Database {
    place: Place,
    url: String,
    _folder: Option<TempDir>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let folder = TempDir::with_prefix("mcp-store-").unwrap();
        let path = folder.path().join("a folder's file.db");
        let url = format!("sqlite:{}?mode=rwc", path.display());
        Self {
            place: Place::Sqlite(path),
            url,
            _folder: Some(folder),
        }
    }

    pub(crate) async fn postgres() -> Self {
        let url = Postgres::shared().await.new_database().await;
        Self {
            place: Place::parse(&Secret::new(&*url)).unwrap(),
            url,
            _folder: None,
        }
    }

    /// A replica: with connections of its own.
    pub(crate) fn store(&self) -> SqlStore {
        self.store_with(Clock::System, ArtifactLimits::default())
    }

    pub(crate) fn store_with(&self, clock: Clock, limits: ArtifactLimits) -> SqlStore {
        SqlStore::with_clock(self.place.clone(), limits, clock)
    }

    /// The database behind the store's back.
    pub(crate) async fn connect(&self) -> AnyPool {
        sqlx::any::install_default_drivers();
        AnyPool::connect(&self.url).await.unwrap()
    }
}

/// A server of that name and version; the text makes contents differ.
pub(crate) fn server(name: &str, version: &str, text: &str) -> Value {
    json!({
        "$schema": mcp_registry::SCHEMA_URL,
        "name": name,
        "version": version,
        "description": text,
    })
}

/// What may be published of it.
pub(crate) fn checked(server: Value, tools: Vec<Value>) -> Publication {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(Validator::default);
    let Value::Object(server) = server else {
        panic!("a server is an object");
    };
    VALIDATOR.check(server, tools).unwrap()
}

pub(crate) fn publication(name: &str, version: &str, text: &str) -> Publication {
    checked(server(name, version, text), Vec::new())
}

/// Publishes what must be new.
pub(crate) async fn publish_new(store: &SqlStore, name: &str, version: &str) -> ServerVersion {
    let publication = publication(name, version, "a server");
    match store.publish(&publication).await.unwrap() {
        Published::New(version) => version,
        Published::Unchanged(version) => panic!("it was there: {version:?}"),
    }
}
