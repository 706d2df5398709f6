//! Which version is the latest.

use std::cmp::Ordering;

use mcp_registry::version::compare;
use mcp_store::{ListQuery, ServerStore as _, ServerVersion, SqlStore};
use tokio::task::JoinSet;

use crate::databases::{Database, on_every_database, publish_new};

const NAME: &str = "com.example/weather";

on_every_database!(
    the_newest_is_the_latest_in_whatever_order_they_come,
    of_versions_published_at_once_the_newest_is_the_latest,
    others_than_semantic_versions_go_by_time,
    equally_new_leaves_the_latest_as_it_is,
);

async fn latest(store: &SqlStore) -> String {
    store.latest(NAME).await.unwrap().unwrap().version
}

async fn all(store: &SqlStore) -> Vec<ServerVersion> {
    let query = ListQuery {
        after: None,
        updated_since: None,
        limit: 100,
    };
    store.list(&query).await.unwrap().versions
}

async fn the_newest_is_the_latest_in_whatever_order_they_come(database: Database) {
    let store = database.store();
    for (version, expected) in [
        ("nightly", "nightly"),
        ("1.0.0-rc.2", "1.0.0-rc.2"),
        ("1.0.0-rc.10", "1.0.0-rc.10"),
        ("1.0.0-beta", "1.0.0-rc.10"),
        ("1.0.0", "1.0.0"),
        ("1.10.0", "1.10.0"),
        ("1.9.0", "1.10.0"),
        ("2026.11.30-1", "2026.11.30-1"),
        ("snapshot", "2026.11.30-1"),
    ] {
        let published = publish_new(&store, NAME, version).await;
        assert_eq!(published.is_latest, version == expected, "{version}");
        assert_eq!(latest(&store).await, expected);
        let marked = all(&store)
            .await
            .into_iter()
            .filter(|version| version.is_latest);
        assert_eq!(marked.count(), 1);
    }
}

async fn of_versions_published_at_once_the_newest_is_the_latest(database: Database) {
    let mut publishers = JoinSet::new();
    for number in 0..16 {
        let store = database.store();
        publishers.spawn(async move { publish_new(&store, NAME, &format!("1.{number}.0")).await });
    }
    publishers.join_all().await;
    let versions = all(&database.store()).await;
    assert_eq!(versions.len(), 16);
    let marked: Vec<_> = versions
        .iter()
        .filter(|version| version.is_latest)
        .collect();
    assert_eq!(marked.len(), 1);
    assert_eq!(marked[0].version, "1.15.0");
    let mut moments: Vec<_> = versions.iter().map(|version| version.updated_at).collect();
    moments.sort();
    moments.dedup();
    assert_eq!(moments.len(), 16);
}

async fn others_than_semantic_versions_go_by_time(database: Database) {
    let store = database.store();
    for version in ["zebra", "aardvark", "1.0"] {
        let published = publish_new(&store, NAME, version).await;
        assert!(published.is_latest, "{version}");
    }
    assert_eq!(latest(&store).await, "1.0");
}

async fn equally_new_leaves_the_latest_as_it_is(database: Database) {
    let store = database.store();
    assert_eq!(compare(("1.0.0+a", 0), ("v1.0.0+b", 1)), Ordering::Equal);
    publish_new(&store, NAME, "1.0.0+a").await;
    assert!(!publish_new(&store, NAME, "v1.0.0+b").await.is_latest);
    assert_eq!(latest(&store).await, "1.0.0+a");
}
