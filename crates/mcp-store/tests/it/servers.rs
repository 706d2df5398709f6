use std::sync::Arc;

use chrono::TimeDelta;
use mcp_core::Clock;
use mcp_store::servers::{PAGE_MAX, VERSIONS_MAX};
use mcp_store::{
    ArtifactLimits, ListQuery, Published, ServerStore as _, SqlStore, Status, StoreError,
};
use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::databases::{Database, checked, on_every_database, publication, publish_new, server};

const NAME: &str = "com.example/weather";

on_every_database!(
    what_was_published_is_read_back,
    the_same_content_again_changes_nothing,
    another_content_of_a_version_is_refused_and_the_first_stays,
    replicas_see_what_each_other_publish,
    of_sixteen_contents_of_one_version_one_is_published,
    sixteen_who_publish_the_same_are_all_told_of_the_one_version,
    a_remote_url_belongs_to_one_server,
    a_remote_url_of_a_deleted_server_is_free,
    pages_go_through_all_in_the_order_of_bytes,
    who_asks_for_what_is_new_misses_nothing_of_replicas_with_other_clocks,
    a_clock_that_was_wrong_once_does_not_stay_so,
    a_server_has_so_many_versions_and_no_more,
);

async fn what_was_published_is_read_back(database: Database) {
    let store = database.store();
    let tools = vec![
        json!({"name": "b", "inputSchema": {"type": "object"}}),
        json!({"name": "a", "inputSchema": {"type": "object"}, "z": 1}),
    ];
    let mut document = server(NAME, "1.0.0", "Wetter für Ångström \u{1F327}");
    document["_meta"] = json!({mcp_registry::PUBLISHER_META: {"n": 1.5, "nul": "\u{0}"}});
    let publication = checked(document.clone(), tools);
    let Published::New(new) = store.publish(&publication).await.unwrap() else {
        panic!("it is new");
    };
    let read = store.get(NAME, "1.0.0").await.unwrap().unwrap();
    assert_eq!(read, new);
    // Field by field in the order in which they came.
    assert_eq!(read.server.to_string(), document.to_string());
    assert_eq!(read.tools[0]["name"], "a");
    assert_eq!(read.sha256, publication.sha256());
    assert_eq!(
        (read.status, read.status_message.as_deref()),
        (Status::Active, None)
    );
    assert!(read.is_latest);
    assert_eq!(read.published_at, read.updated_at);
    assert_eq!(store.latest(NAME).await.unwrap(), Some(new));
    assert_eq!(store.get(NAME, "2.0.0").await.unwrap(), None);
    assert_eq!(store.latest("com.example/other").await.unwrap(), None);
}

async fn the_same_content_again_changes_nothing(database: Database) {
    let store = database.store();
    let first = publish_new(&store, NAME, "1.0.0").await;
    let fields = server(NAME, "1.0.0", "a server");
    let reversed: serde_json::Map<_, _> = fields
        .as_object()
        .unwrap()
        .clone()
        .into_iter()
        .rev()
        .collect();
    for document in [fields, reversed.into()] {
        let again = store.publish(&checked(document, Vec::new())).await.unwrap();
        assert_eq!(again, Published::Unchanged(first.clone()));
    }
}

async fn another_content_of_a_version_is_refused_and_the_first_stays(database: Database) {
    let store = database.store();
    let first = publish_new(&store, NAME, "1.0.0").await;
    let tool = json!({"name": "a", "inputSchema": {"type": "object"}});
    for other in [
        publication(NAME, "1.0.0", "another"),
        checked(server(NAME, "1.0.0", "a server"), vec![tool]),
    ] {
        let refused = store.publish(&other).await.unwrap_err();
        let expected = StoreError::VersionConflict {
            name: NAME.into(),
            version: "1.0.0".into(),
            published: first.sha256.clone(),
        };
        assert_eq!(refused, expected);
    }
    assert_eq!(store.get(NAME, "1.0.0").await.unwrap(), Some(first));
}

async fn replicas_see_what_each_other_publish(database: Database) {
    let (one, other) = (database.store(), database.store());
    let first = publish_new(&one, NAME, "1.0.0").await;
    assert_eq!(other.latest(NAME).await.unwrap(), Some(first));
    let second = publish_new(&other, NAME, "1.1.0").await;
    assert_eq!(one.latest(NAME).await.unwrap(), Some(second));
    assert!(!one.get(NAME, "1.0.0").await.unwrap().unwrap().is_latest);
    one.publish(&publication(NAME, "1.1.0", "another"))
        .await
        .unwrap_err();
}

/// What sixteen publishers at once, on four replicas, are answered.
async fn sixteen(
    database: &Database,
    text: impl Fn(u32) -> String,
) -> Vec<Result<Published, StoreError>> {
    let replicas: Vec<_> = (0..4).map(|_| database.store()).collect();
    let together = Arc::new(Barrier::new(16));
    let mut publishers = JoinSet::new();
    for number in 0..16 {
        let store = replicas[number as usize % 4].clone();
        let publication = publication(NAME, "1.0.0", &text(number));
        let together = Arc::clone(&together);
        publishers.spawn(async move {
            together.wait().await;
            store.publish(&publication).await
        });
    }
    publishers.join_all().await
}

async fn of_sixteen_contents_of_one_version_one_is_published(database: Database) {
    let outcomes = sixteen(&database, |number| format!("content {number}")).await;
    let (published, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    let [Ok(Published::New(new))] = &published[..] else {
        panic!("one is new: {published:?}");
    };
    for refusal in refused {
        assert!(
            matches!(&refusal, Err(StoreError::VersionConflict { published, .. }) if *published == new.sha256),
            "{refusal:?}"
        );
    }
    let kept = database.store().get(NAME, "1.0.0").await.unwrap();
    assert_eq!(kept.as_ref(), Some(new));
}

async fn sixteen_who_publish_the_same_are_all_told_of_the_one_version(database: Database) {
    let outcomes = sixteen(&database, |_| "the same".to_owned()).await;
    let published: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let new = published
        .iter()
        .filter(|outcome| matches!(outcome, Published::New(_)));
    assert_eq!(new.count(), 1);
    let first = published[0].version();
    assert!(published.iter().all(|outcome| outcome.version() == first));
}

fn with_remote(name: &str, version: &str, url: &str) -> mcp_registry::Publication {
    let mut document = server(name, version, "a server");
    document["remotes"] = json!([
        {"type": "sse", "url": format!("https://{version}.example.com/{name}")},
        {"type": "streamable-http", "url": url},
        {"type": "sse", "url": url},
    ]);
    checked(document, Vec::new())
}

async fn a_remote_url_belongs_to_one_server(database: Database) {
    let store = database.store();
    let url = "https://mcp.example.com/mcp";
    store
        .publish(&with_remote(NAME, "1.0.0", url))
        .await
        .unwrap();
    store
        .publish(&with_remote(NAME, "2.0.0", url))
        .await
        .unwrap();
    let refused = store
        .publish(&with_remote("com.example/thief", "1.0.0", url))
        .await;
    let expected = StoreError::RemoteTaken {
        index: 1,
        owner: NAME.into(),
    };
    assert_eq!(refused, Err(expected));
    assert_eq!(store.latest("com.example/thief").await.unwrap(), None);
}

async fn a_remote_url_of_a_deleted_server_is_free(database: Database) {
    let store = database.store();
    let url = "https://mcp.example.com/mcp";
    store
        .publish(&with_remote(NAME, "1.0.0", url))
        .await
        .unwrap();
    let behind = database.connect().await;
    let deleted = "UPDATE server_versions SET status = 'deleted', status_message = 'why'";
    sqlx::query(deleted).execute(&behind).await.unwrap();
    store
        .publish(&with_remote("com.example/heir", "1.0.0", url))
        .await
        .unwrap();
    let gone = store.get(NAME, "1.0.0").await.unwrap().unwrap();
    assert_eq!(
        (gone.status, gone.status_message.as_deref()),
        (Status::Deleted, Some("why"))
    );
    // Its version is never used again.
    let refused = store.publish(&publication(NAME, "1.0.0", "another")).await;
    assert!(
        matches!(refused, Err(StoreError::VersionConflict { .. })),
        "{refused:?}"
    );
}

async fn pages_go_through_all_in_the_order_of_bytes(database: Database) {
    let store = database.store();
    let mut expected = Vec::new();
    // In the order of a language, case and punctuation count last.
    for name in [
        "com.example/ab",
        "com.example/aC",
        "com.example/a-d",
        "com.example/a_e",
        "com.Example/ab",
        "com.example-x/ab",
    ] {
        for version in ["1.0.0", "10.0.0", "2.0.0", "v1", "Z"] {
            publish_new(&store, name, version).await;
            expected.push((name.to_owned(), version.to_owned()));
        }
    }
    expected.sort();
    for limit in [1, 7, 30, PAGE_MAX] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let query = ListQuery {
                after,
                updated_since: None,
                limit,
            };
            let page = store.list(&query).await.unwrap();
            assert!(page.versions.len() <= limit as usize);
            seen.extend(
                page.versions
                    .into_iter()
                    .map(|version| (version.name, version.version)),
            );
            if !page.has_more {
                break;
            }
            after = seen.last().cloned();
        }
        assert_eq!(seen, expected, "{limit}");
    }
}

/// A replica whose clock is so many seconds off, at one and the same moment.
fn replicas_off_by<const N: usize>(database: &Database, seconds: [i64; N]) -> [SqlStore; N] {
    let now = Clock::System.now();
    seconds.map(|seconds| {
        let clock = Clock::Fixed(now + TimeDelta::seconds(seconds));
        database.store_with(clock, ArtifactLimits::default())
    })
}

async fn who_asks_for_what_is_new_misses_nothing_of_replicas_with_other_clocks(database: Database) {
    let replicas = replicas_off_by(&database, [0, -30, 20, -10, 0, 20, -30]);
    let mut last = None;
    for (number, store) in replicas.iter().enumerate() {
        let version = publish_new(store, NAME, &format!("1.0.{number}")).await;
        let query = ListQuery {
            after: None,
            updated_since: last,
            limit: 100,
        };
        let new = store.list(&query).await.unwrap().versions;
        assert_eq!(new, std::slice::from_ref(&version), "{number}");
        last = Some(version.updated_at);
    }
}

async fn a_clock_that_was_wrong_once_does_not_stay_so(database: Database) {
    let [wrong, right] = replicas_off_by(&database, [3_600, 0]);
    let early = publish_new(&wrong, NAME, "1.0.0").await;
    let late = publish_new(&right, NAME, "1.0.1").await;
    assert_eq!(early.published_at - late.published_at, TimeDelta::hours(1));
}

async fn a_server_has_so_many_versions_and_no_more(database: Database) {
    let store = database.store();
    publish_new(&store, NAME, "0.0.0").await;
    let behind = database.connect().await;
    let others = VERSIONS_MAX - 2;
    let fill = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {others}) \
         INSERT INTO server_versions (name, version, sha256, server, tools, status, status_changed_at, published_at, updated_at, is_latest) \
         SELECT '{NAME}', 'x' || n, '', '{{}}', '[]', 'active', n, n, n, 0 FROM numbers"
    );
    sqlx::query(sqlx::AssertSqlSafe(fill))
        .execute(&behind)
        .await
        .unwrap();
    publish_new(&store, NAME, "0.0.1").await;
    let refused = store.publish(&publication(NAME, "0.0.2", "one more")).await;
    let expected = StoreError::TooManyVersions {
        name: NAME.into(),
        max: VERSIONS_MAX,
    };
    assert_eq!(refused, Err(expected));
    // What is there is answered as before, and others have room.
    let there = store.publish(&publication(NAME, "0.0.1", "a server")).await;
    assert!(matches!(there, Ok(Published::Unchanged(_))), "{there:?}");
    publish_new(&store, "com.example/other", "0.0.2").await;
}
