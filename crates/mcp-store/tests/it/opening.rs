//! The start: of one replica, and of several at once.

use mcp_core::Secret;
use mcp_store::{ArtifactLimits, Place, ServerStore as _, SqlStore, StoreError};
use mcp_testkit::Postgres;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::databases::{Database, on_every_database, publish_new};

on_every_database!(
    replicas_that_start_at_once_make_the_tables_once,
    a_database_that_a_newer_version_has_migrated_is_used,
);

async fn replicas_that_start_at_once_make_the_tables_once(database: Database) {
    let mut replicas = JoinSet::new();
    for number in 0..12 {
        let store = database.store();
        replicas.spawn(async move {
            store.check().await.unwrap();
            publish_new(&store, "com.example/weather", &format!("1.0.{number}")).await;
        });
    }
    replicas.join_all().await;
    let behind = database.connect().await;
    let steps = sqlx::query("SELECT step FROM mcp_hybrid_migrations")
        .fetch_all(&behind)
        .await;
    assert_eq!(steps.unwrap().len(), 1);
}

async fn a_database_that_a_newer_version_has_migrated_is_used(database: Database) {
    database.store().check().await.unwrap();
    let behind = database.connect().await;
    for newer in [
        "INSERT INTO mcp_hybrid_migrations (step, done_at) VALUES (1000, 0)",
        "ALTER TABLE server_versions ADD COLUMN of_tomorrow TEXT",
    ] {
        sqlx::query(newer).execute(&behind).await.unwrap();
    }
    let store = database.store();
    publish_new(&store, "com.example/weather", "1.0.0").await;
    assert!(store.latest("com.example/weather").await.unwrap().is_some());
}

async fn refusal(place: Place) -> StoreError {
    let store = SqlStore::new(place, ArtifactLimits::default());
    store.check().await.unwrap_err()
}

#[tokio::test]
async fn a_file_that_can_not_be_written_is_named_with_what_to_do() {
    let file = TempDir::new().unwrap();
    let file = file.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("registry.db");
    for place in [Place::Sqlite(below.clone()), Place::Implied(below.clone())] {
        let StoreError::NoPlace(why) = refusal(place).await else {
            panic!("there is no place");
        };
        assert!(why.contains(&below.display().to_string()), "{why}");
        assert!(why.contains("DATABASE_URL=sqlite:"), "{why}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_not_overwritten() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("letter.txt");
    let letter = "Dear reader, this is not a database. ".repeat(100);
    std::fs::write(&path, &letter).unwrap();
    let refused = refusal(Place::Sqlite(path.clone())).await;
    assert!(matches!(refused, StoreError::NoPlace(_)), "{refused:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), letter);
}

#[tokio::test]
async fn without_a_place_it_says_which_variables_name_one() {
    let StoreError::NoPlace(why) = refusal(Place::Nowhere).await else {
        panic!("there is no place");
    };
    assert!(
        why.contains("DATABASE_URL") && why.contains("HOME"),
        "{why}"
    );
}

#[tokio::test]
async fn an_implied_file_gets_its_folder() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("state/mcp-hybrid/registry.db");
    let store = SqlStore::new(Place::Implied(path.clone()), ArtifactLimits::default());
    store.check().await.unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn what_postgres_refuses_is_told_without_the_password() {
    let postgres = Postgres::shared().await;
    let there = postgres.new_database().await;
    let wrong = there.replace(Postgres::PASSWORD, "wrong-password-3xK");
    for (url, part) in [
        (wrong, "password authentication failed"),
        (postgres.url("no_such_database"), "does not exist"),
    ] {
        let place = Place::parse(&Secret::new(&*url)).unwrap();
        let shown = format!(
            "{:?} {}",
            refusal(place.clone()).await,
            refusal(place).await
        );
        assert!(shown.contains("NoPlace") && shown.contains(part), "{shown}");
        for secret in [Postgres::PASSWORD, "wrong-password-3xK"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
