use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, json};
use tokio::sync::oneshot;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(60);

fn store_of(entries_max: usize, bytes_max: usize) -> Idempotency {
    let config = IdempotencyConfig {
        ttl: HOUR,
        lease: PATIENCE,
        entries_max,
        bytes_max,
    };
    Idempotency::new(config, None)
}

fn store() -> Idempotency {
    store_of(100, 1 << 20)
}

fn id(key: &str) -> CallId {
    CallId::new("caller", key, "tool", &Map::new())
}

/// Calls with that key; the result is how many calls ran before.
async fn call(store: &Idempotency, key: &str, runs: &AtomicUsize) -> usize {
    let run = async { Ok::<_, Infallible>(runs.fetch_add(1, Ordering::SeqCst)) };
    match store.once(&id(key), PATIENCE, run).await.unwrap() {
        Once::Ran(result) => result.unwrap(),
        Once::Replayed(result, _) => result,
        Once::ReplayedWithout => panic!("a number is kept"),
    }
}

#[tokio::test]
async fn a_repeated_key_gives_the_stored_result() {
    let (store, runs) = (store(), AtomicUsize::new(0));
    assert_eq!(call(&store, "a", &runs).await, 0);
    assert_eq!(call(&store, "b", &runs).await, 1);
    assert_eq!(call(&store, "a", &runs).await, 0);
    assert_eq!(runs.into_inner(), 2);
}

#[tokio::test]
async fn a_call_with_a_result_that_is_too_large_does_not_run_again() {
    let (store, runs) = (store(), AtomicUsize::new(0));
    let run = || async {
        runs.fetch_add(1, Ordering::SeqCst);
        Ok::<_, Infallible>("x".repeat(RESULT_MAX))
    };
    let (id, other) = (id("a"), id("a"));
    let (one, two) = tokio::join!(
        store.once(&id, PATIENCE, run()),
        store.once(&other, PATIENCE, run())
    );
    assert!(matches!(one, Ok(Once::Ran(Ok(_)))));
    assert!(matches!(two, Ok(Once::ReplayedWithout)));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_is_not_stored() {
    let (store, runs) = (store(), AtomicUsize::new(7));
    let failed: Once<usize, &str> = store
        .once(&id("a"), PATIENCE, async { Err("try again") })
        .await
        .unwrap();
    assert!(matches!(failed, Once::Ran(Err("try again"))));
    assert_eq!(call(&store, "a", &runs).await, 7);
}

#[tokio::test]
async fn a_call_that_is_under_way_is_waited_for() {
    let (store, runs) = (Arc::new(store()), AtomicUsize::new(9));
    let (begin, begun) = oneshot::channel();
    let (end, ended) = oneshot::channel::<usize>();
    let first = tokio::spawn({
        let store = store.clone();
        async move {
            let run = async {
                begin.send(()).unwrap();
                Ok::<_, Infallible>(ended.await.unwrap())
            };
            store.once(&id("a"), PATIENCE, run).await.unwrap()
        }
    });
    begun.await.unwrap();
    let second = call(&store, "a", &runs);
    let mut second = std::pin::pin!(second);
    assert!(futures::poll!(&mut second).is_pending());
    end.send(5).unwrap();
    assert_eq!(second.await, 5);
    assert!(matches!(first.await.unwrap(), Once::Ran(Ok(5))));
    assert_eq!(runs.load(Ordering::SeqCst), 9, "the second did not run");
}

#[tokio::test]
async fn of_a_call_that_is_given_up_the_next_one_takes_the_turn() {
    let (store, runs) = (store(), AtomicUsize::new(3));
    let key = id("a");
    let given_up = store.once(&key, PATIENCE, std::future::pending::<Result<usize, ()>>());
    let mut given_up = Box::pin(given_up);
    assert!(futures::poll!(&mut given_up).is_pending());
    let waiting = call(&store, "a", &runs);
    let mut waiting = std::pin::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(given_up);
    assert_eq!(waiting.await, 3);
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_call_has_an_end() {
    let (store, key) = (store(), id("a"));
    let first = store.once(&key, PATIENCE, std::future::pending::<Result<usize, ()>>());
    let mut first = Box::pin(first);
    assert!(futures::poll!(&mut first).is_pending());
    let second = store.once(&key, PATIENCE, async { Ok::<usize, ()>(1) });
    assert_eq!(second.await.unwrap_err(), NotOnce::StillUnderWay);
}

#[tokio::test]
async fn a_key_of_another_call_is_refused() {
    let (store, runs) = (store(), AtomicUsize::new(0));
    call(&store, "a", &runs).await;
    let arguments = json!({"x": 1});
    let other = CallId::new("caller", "a", "tool", arguments.as_object().unwrap());
    let refused = store.once(&other, PATIENCE, async { Ok::<usize, ()>(1) });
    assert_eq!(refused.await.unwrap_err(), NotOnce::OtherCall);
    let another = CallId::new("another", "a", "tool", arguments.as_object().unwrap());
    let ran = store.once(&another, PATIENCE, async { Ok::<usize, ()>(1) });
    assert!(matches!(ran.await.unwrap(), Once::Ran(Ok(1))));
}

#[tokio::test(start_paused = true)]
async fn results_expire() {
    let (store, runs) = (store(), AtomicUsize::new(0));
    call(&store, "a", &runs).await;
    tokio::time::advance(HOUR - Duration::from_secs(1)).await;
    assert_eq!(call(&store, "a", &runs).await, 0);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(call(&store, "a", &runs).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_with_less_time_left_expires_before_older_ones() {
    let config = IdempotencyConfig {
        ttl: HOUR,
        lease: PATIENCE,
        entries_max: 100,
        bytes_max: 1 << 20,
    };
    let memory = Memory::new(config);
    for (key, ttl) in [("long", HOUR), ("short", PATIENCE)] {
        let Claim::Lead(lead) = memory.claim(&id(key)) else {
            panic!("nobody has {key}");
        };
        lead.store_for(Arc::from(*b"1"), ttl);
    }
    assert!(matches!(memory.claim(&id("short")), Claim::Stored(_)));
    tokio::time::advance(PATIENCE).await;
    assert!(matches!(memory.claim(&id("short")), Claim::Lead(_)));
    assert!(matches!(memory.claim(&id("long")), Claim::Stored(_)));
}

#[tokio::test]
async fn a_result_that_is_forgotten_runs_again_and_its_successor_stays() {
    let (store, runs) = (store(), AtomicUsize::new(0));
    call(&store, "a", &runs).await;
    let key = id("a");
    let again = store.once(&key, PATIENCE, async { Ok::<usize, ()>(9) });
    let Once::Replayed(0, stored) = again.await.unwrap() else {
        panic!("it is stored");
    };
    for _ in 0..2 {
        store.forget(&key, &stored).await.unwrap();
        assert_eq!(call(&store, "a", &runs).await, 1);
    }
}

#[tokio::test]
async fn results_are_bounded_in_count_and_the_oldest_goes_first() {
    let (store, runs) = (store_of(2, 1 << 20), AtomicUsize::new(0));
    for (key, result) in [("a", 0), ("b", 1), ("c", 2), ("c", 2), ("b", 1), ("a", 3)] {
        assert_eq!(call(&store, key, &runs).await, result, "{key}");
    }
}

#[tokio::test]
async fn results_are_bounded_in_bytes() {
    let (store, runs) = (store_of(1_000, 10_000), AtomicUsize::new(0));
    let large = |key: &'static str| {
        let key = id(key);
        let store = &store;
        async move {
            let run = async { Ok::<_, ()>("x".repeat(6_000)) };
            store.once(&key, PATIENCE, run).await.unwrap()
        }
    };
    call(&store, "small", &runs).await;
    assert!(matches!(large("one").await, Once::Ran(_)));
    assert!(matches!(large("one").await, Once::Replayed(..)));
    assert!(matches!(large("two").await, Once::Ran(_)));
    assert!(matches!(large("one").await, Once::Ran(_)));
    assert_eq!(call(&store, "small", &runs).await, 1);
}
