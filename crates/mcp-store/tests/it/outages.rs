//! A database that goes away, and one that is busy.

use mcp_core::Secret;
use mcp_store::{ArtifactLimits, Place, ServerStore as _, SqlStore, StoreError};
use mcp_testkit::{Postgres, eventually};

use crate::databases::{Database, on_every_database, publication, publish_new};

const NAME: &str = "com.example/weather";

on_every_database!(a_writer_that_does_not_end_is_waited_for_with_a_bound);

async fn a_writer_that_does_not_end_is_waited_for_with_a_bound(database: Database) {
    let store = database.store();
    publish_new(&store, NAME, "1.0.0").await;
    let behind = database.connect().await;
    let mut stuck = behind.begin().await.unwrap();
    // The first word of it is a write in SQLite; in Postgres the lock on the table is what is in the way.
    let touch = "UPDATE server_versions SET status = 'active'";
    sqlx::query(touch).execute(&mut *stuck).await.unwrap();
    let lock = "LOCK TABLE server_versions IN EXCLUSIVE MODE";
    let _ = sqlx::query(lock).execute(&mut *stuck).await;
    let refused = store.publish(&publication(NAME, "1.0.1", "a server")).await;
    assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
    // Readers go on meanwhile.
    assert!(store.latest(NAME).await.unwrap().is_some());
    stuck.rollback().await.unwrap();
    publish_new(&store, NAME, "1.0.1").await;
}

#[tokio::test]
async fn a_database_that_was_away_is_used_again_when_it_is_back() {
    let mut postgres = Postgres::start().await;
    let url = postgres.new_database().await;
    let place = Place::parse(&Secret::new(&*url)).unwrap();
    let (old, new) = (
        SqlStore::new(place.clone(), ArtifactLimits::default()),
        SqlStore::new(place, ArtifactLimits::default()),
    );
    let first = publish_new(&old, NAME, "1.0.0").await;
    postgres.stop().await;
    // One has connections that are broken now, the other has never had any.
    for store in [&old, &new] {
        let away = store.latest(NAME).await.unwrap_err();
        assert!(matches!(away, StoreError::Away(_)), "{away:?}");
        assert!(!away.to_string().contains(Postgres::PASSWORD));
    }
    postgres.start_again().await;
    for store in [&old, &new] {
        let within = std::time::Duration::from_secs(30);
        let latest = eventually(within, async || store.latest(NAME).await).await;
        assert_eq!(latest.as_ref(), Some(&first));
    }
    publish_new(&new, NAME, "1.0.1").await;
}
