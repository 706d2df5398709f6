//! `notifications/cancelled` in the eras without sessions: a POST of its own, at any replica.

use mcp_testkit::{Redis, eventually};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::replica::{Events, Replica, SseClient, call};
use crate::server::{Answer, PATIENCE, answer};

/// One call a key, so that it shows whether one runs.
const ONE: (&str, &str) = ("MCP_KEY_CONCURRENCY", "1");

/// A call of that id that takes an hour.
fn slow(id: u32) -> Value {
    let mut call = call("slow_compute", json!({"seconds": 3600}));
    call["id"] = id.into();
    call
}

/// A call beside the test, under way.
async fn begin(replica: &Replica, id: u32, from: &str) -> JoinHandle<Answer> {
    let request = replica.request("/mcp", &slow(id));
    let request = request.header("x-forwarded-for", from.to_owned());
    let calling = tokio::spawn(answer(request));
    eventually(PATIENCE, async || match ping(replica).await {
        429 => Ok(()),
        status => Err(format!("{status}")),
    })
    .await;
    calling
}

async fn ping(replica: &Replica) -> u16 {
    let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"});
    replica.post("/mcp", &ping).await.status
}

async fn cancel(replica: &Replica, id: u32, from: &str) {
    let params = json!({"requestId": id, "reason": "enough"});
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
    let request = replica.request("/mcp", &cancel);
    let told = answer(request.header("x-forwarded-for", from.to_owned())).await;
    assert_eq!(told.status, 202, "{told:?}");
}

#[tokio::test]
async fn a_call_that_its_client_gives_up_ends_and_makes_room() {
    let replica = Replica::start(&[ONE]).await;
    for era in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let request = replica.request("/mcp", &slow(42));
        let calling = tokio::spawn(answer(request.header("mcp-protocol-version", era)));
        eventually(PATIENCE, async || match ping(&replica).await {
            429 => Ok(()),
            status => Err(format!("{status}")),
        })
        .await;
        let params = json!({"requestId": 42});
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
        let told = answer(
            replica
                .request("/mcp", &cancel)
                .header("mcp-protocol-version", era),
        );
        assert_eq!(told.await.status, 202);
        let ended = calling.await.unwrap();
        let message = ended.body["error"]["message"].as_str();
        assert!(message.unwrap().contains("cancelled"), "{ended:?}");
        assert_eq!(ping(&replica).await, 200, "{era}");
    }
}

#[tokio::test]
async fn a_call_that_has_spoken_can_be_given_up_too() {
    let replica = Replica::start(&[ONE]).await;
    let asks = call("test_elicitation", json!({"message": "Go?"}));
    let mut events = Events::of(replica.request("/mcp", &asks)).await;
    events.must().await;
    let params = json!({"requestId": 1});
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
    assert_eq!(replica.post("/mcp", &cancel).await.status, 202);
    assert!(events.must().await["error"].is_object());
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn only_the_call_of_that_caller_and_id_ends() {
    let replica = Replica::start(&[ONE]).await;
    let calling = begin(&replica, 1, "10.0.0.1").await;
    cancel(&replica, 2, "10.0.0.1").await;
    cancel(&replica, 1, "10.0.0.2").await;
    assert_eq!(ping(&replica).await, 429);
    cancel(&replica, 1, "10.0.0.1").await;
    calling.await.unwrap();
}

#[tokio::test]
async fn a_call_is_cancelled_from_any_replica_unless_it_might_be_another_one() {
    let redis = Redis::start().await;
    let variables = [("REDIS_URL", &*redis.url()), ONE];
    let one = Replica::start(&variables).await;
    let two = Replica::start(&variables).await;
    let third = Replica::start(&variables).await;
    for replica in [&one, &two, &third] {
        // A message for its session reaches it from another one: it hears the others.
        let client = SseClient::open(replica).await;
        let other = if std::ptr::eq(replica, &one) {
            &two
        } else {
            &one
        };
        let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"});
        assert_eq!(client.post(other, &ping).await.status, 202);
    }
    let first = begin(&one, 1, "10.0.0.1").await;
    let second = begin(&two, 1, "10.0.0.1").await;
    for replica in [&one, &two, &third] {
        cancel(replica, 1, "10.0.0.1").await;
        assert_eq!((ping(&one).await, ping(&two).await), (429, 429));
    }
    first.abort();
    let only = eventually(PATIENCE, async || match ping(&one).await {
        200 => Ok(second.is_finished()),
        status => Err(format!("{status}")),
    })
    .await;
    assert!(!only);
    cancel(&third, 1, "10.0.0.1").await;
    assert!(second.await.unwrap().body["error"].is_object());
}
