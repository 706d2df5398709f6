use std::time::Duration;

use chrono::TimeDelta;
use mcp_core::Clock;
use mcp_store::{Artifact, ArtifactId, ArtifactLimits, ArtifactStore as _, StoreError};
use tokio::task::JoinSet;

use crate::databases::{Database, on_every_database};

on_every_database!(
    an_artifact_is_read_by_its_hash_at_every_replica,
    one_that_is_too_large_is_refused,
    one_that_expired_is_gone_and_gives_back_its_room,
    one_that_is_put_again_expires_later,
    full_is_full_and_nothing_is_dropped_for_another,
    the_same_bytes_at_once_are_one_artifact,
    bytes_that_were_changed_are_not_given_out,
);

const LIMITS: ArtifactLimits = ArtifactLimits {
    each: 1_000,
    total: 2_500,
    keep: Duration::from_secs(60),
};

fn artifact(byte: u8, size: usize) -> Artifact {
    Artifact {
        media_type: "image/svg+xml".into(),
        bytes: vec![byte; size],
    }
}

/// A clock that stands so many seconds from now.
fn at(seconds: i64) -> Clock {
    Clock::Fixed(Clock::System.now() + TimeDelta::seconds(seconds))
}

async fn an_artifact_is_read_by_its_hash_at_every_replica(database: Database) {
    let bytes: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    let artifact = Artifact {
        media_type: "image/svg+xml".into(),
        bytes,
    };
    let stored = database.store().put(artifact.clone()).await.unwrap();
    assert_eq!(stored.id, ArtifactId::of(&artifact.bytes));
    let other = database.store();
    assert_eq!(other.get(&stored.id).await.unwrap(), Some(artifact));
    assert_eq!(other.get(&ArtifactId::of(b"other")).await.unwrap(), None);
}

async fn one_that_is_too_large_is_refused(database: Database) {
    let store = database.store_with(Clock::System, LIMITS);
    store.put(artifact(0, 1_000)).await.unwrap();
    store.put(artifact(0, 0)).await.unwrap();
    let refused = store.put(artifact(1, 1_001)).await;
    let expected = StoreError::ArtifactTooLarge {
        size: 1_001,
        max: 1_000,
    };
    assert_eq!(refused, Err(expected));
}

async fn one_that_expired_is_gone_and_gives_back_its_room(database: Database) {
    let (now, later) = (
        database.store_with(at(0), LIMITS),
        database.store_with(at(61), LIMITS),
    );
    let old = now.put(artifact(0, 1_000)).await.unwrap();
    let new = later.put(artifact(1, 10)).await.unwrap();
    // `put` swept; what it swept is gone for the other clock as well.
    assert_eq!(now.get(&old.id).await.unwrap(), None);
    assert_eq!(later.expire().await.unwrap(), 0);
    assert!(later.get(&new.id).await.unwrap().is_some());
    let last = database.store_with(at(200), LIMITS);
    assert_eq!(last.get(&new.id).await.unwrap(), None);
    assert_eq!(last.expire().await.unwrap(), 1);
}

async fn one_that_is_put_again_expires_later(database: Database) {
    let first = database
        .store_with(at(0), LIMITS)
        .put(artifact(0, 10))
        .await
        .unwrap();
    let again = database
        .store_with(at(30), LIMITS)
        .put(artifact(0, 10))
        .await
        .unwrap();
    assert_eq!(again.id, first.id);
    assert!(again.expires_at > first.expires_at);
    let between = database.store_with(at(75), LIMITS);
    assert_eq!(between.get(&first.id).await.unwrap(), Some(artifact(0, 10)));
}

async fn full_is_full_and_nothing_is_dropped_for_another(database: Database) {
    let store = database.store_with(at(0), LIMITS);
    let first = store.put(artifact(0, 1_000)).await.unwrap();
    store.put(artifact(1, 1_000)).await.unwrap();
    assert_eq!(store.has_room(500).await, Ok(()));
    let full = Err(StoreError::ArtifactsFull { max: 2_500 });
    assert_eq!(store.has_room(501).await, full);
    let refused = store.put(artifact(2, 501)).await;
    assert_eq!(refused, Err(StoreError::ArtifactsFull { max: 2_500 }));
    store.put(artifact(2, 500)).await.unwrap();
    // What is there takes no more room.
    store.put(artifact(0, 1_000)).await.unwrap();
    assert!(store.get(&first.id).await.unwrap().is_some());
    let later = database.store_with(at(61), LIMITS);
    later.put(artifact(3, 501)).await.unwrap();
}

async fn the_same_bytes_at_once_are_one_artifact(database: Database) {
    let mut writers = JoinSet::new();
    for _ in 0..16 {
        let store = database.store();
        writers.spawn(async move { store.put(artifact(7, 900)).await.unwrap().id });
    }
    let ids = writers.join_all().await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    let behind = database.connect().await;
    let rows = sqlx::query("SELECT id FROM artifacts")
        .fetch_all(&behind)
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
}

async fn bytes_that_were_changed_are_not_given_out(database: Database) {
    let store = database.store();
    let stored = store.put(artifact(0, 10)).await.unwrap();
    let behind = database.connect().await;
    sqlx::query("UPDATE artifacts SET bytes = $1")
        .bind(vec![1u8; 10])
        .execute(&behind)
        .await
        .unwrap();
    let broken = store.get(&stored.id).await;
    assert!(matches!(broken, Err(StoreError::Broken(_))), "{broken:?}");
}
