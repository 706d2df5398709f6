//! What holds a place of its key and of the server, and what needs none.

use mcp_testkit::eventually;
use serde_json::{Value, json};

use crate::replica::{Events, Replica, SseClient, call};
use crate::server::{PATIENCE, answer};
use crate::tasks::{begin, until};

/// Each of the bounds, and what a request is answered that is over it.
const BOUNDS: [(&str, u16); 2] = [("MCP_KEY_CONCURRENCY", 429), ("MCP_MAX_IN_FLIGHT", 503)];

async fn ping(replica: &Replica) -> u16 {
    let ping = json!({"jsonrpc": "2.0", "id": 7, "method": "ping"});
    replica.post("/mcp", &ping).await.status
}

async fn until_there_is_room(replica: &Replica) {
    eventually(PATIENCE, async || match ping(replica).await {
        200 => Ok(()),
        status => Err(format!("{status}")),
    })
    .await;
}

#[tokio::test]
async fn who_has_no_place_left_can_still_answer() {
    for (bound, refused) in BOUNDS {
        let replica = Replica::start(&[(bound, "1")]).await;
        let asks = replica.stream("test_elicitation", json!({"message": "Go?"}));
        let mut events = asks.await;
        let question = events.must().await;
        assert_eq!(ping(&replica).await, refused, "{bound}");
        let result = json!({"action": "decline"});
        let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
        assert_eq!(replica.post("/mcp", &answer).await.status, 202, "{bound}");
        assert_eq!(events.must().await["id"], 1);
        until_there_is_room(&replica).await;
    }
}

#[tokio::test]
async fn who_has_no_place_left_can_still_cancel() {
    for (bound, refused) in BOUNDS {
        let replica = Replica::start(&[(bound, "1")]).await;
        let client = SseClient::open(&replica).await;
        let slow = call("slow_compute", json!({"seconds": 3600}));
        assert_eq!(client.post(&replica, &slow).await.status, 202);
        assert_eq!(ping(&replica).await, refused, "{bound}");
        let params = json!({"requestId": 1});
        let cancel =
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
        assert_eq!(client.post(&replica, &cancel).await.status, 202, "{bound}");
        until_there_is_room(&replica).await;
    }
}

#[tokio::test]
async fn a_task_holds_the_place_of_its_call_until_it_ends_and_can_be_reached_meanwhile() {
    for (bound, refused) in BOUNDS {
        let replica = Replica::start(&[(bound, "1")]).await;
        let task = begin(&replica, "confirm_delete", json!({"filename": "a"})).await;
        until(&replica, &task, "input_required").await;
        assert_eq!(ping(&replica).await, refused, "{bound}");
        let yes = json!({"action": "accept", "content": {"confirm": true}});
        let params = json!({"taskId": task, "inputResponses": {"confirm": yes}});
        replica.modern("tasks/update", params).await;
        until(&replica, &task, "completed").await;
        until_there_is_room(&replica).await;
        let task = begin(&replica, "slow_compute", json!({"seconds": 3600})).await;
        assert_eq!(ping(&replica).await, refused, "{bound}");
        let params = json!({"taskId": task});
        replica.modern("tasks/cancel", params).await;
        until_there_is_room(&replica).await;
    }
}

#[tokio::test]
async fn a_subscription_holds_a_stream_and_no_place() {
    let bounds = [
        "MCP_KEY_CONCURRENCY",
        "MCP_MAX_IN_FLIGHT",
        "MCP_MAX_STREAMS",
    ];
    let replica = Replica::start(&bounds.map(|bound| (bound, "1"))).await;
    let mut events = Events::of(replica.listening()).await;
    let first: Value = events.must().await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(ping(&replica).await, 200);
    let open = async || {
        let opened = reqwest::get(replica.url("/sse")).await;
        opened.unwrap().status().as_u16()
    };
    assert_eq!(open().await, 503);
    let another = answer(replica.listening()).await;
    assert_eq!((another.status, &another.body["id"]), (503, &json!(1)));
    drop(events);
    eventually(PATIENCE, async || match open().await {
        200 => Ok(()),
        status => Err(format!("{status}")),
    })
    .await;
}
