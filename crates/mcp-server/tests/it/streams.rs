//! The event stream of a call, and of a subscription.

use mcp_testkit::eventually;
use serde_json::json;

use crate::replica::{Events, Replica, call};
use crate::server::PATIENCE;

#[tokio::test]
async fn a_call_that_speaks_turns_its_answer_into_a_stream() {
    let replica = Replica::start(&[]).await;
    let mut call = call("test_tool_with_progress", json!({}));
    call["params"]["_meta"] = json!({"progressToken": "p"});
    let mut events = Events::of(replica.request("/mcp", &call)).await;
    for progress in [0.0, 50.0, 100.0] {
        let event = events.must().await;
        assert_eq!(
            event["params"],
            json!({"progressToken": "p", "progress": progress, "total": 100.0})
        );
    }
    assert_eq!(events.must().await["id"], 1);
    assert!(events.next().await.is_none());
    // Nobody asked for progress: JSON.
    let plain = replica
        .post(
            "/mcp",
            &crate::replica::call("test_tool_with_progress", json!({})),
        )
        .await;
    assert_eq!(plain.headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_call_that_would_speak_when_no_stream_is_left_is_answered_all_the_same() {
    let replica = Replica::start(&[("MCP_MAX_STREAMS", "1")]).await;
    let listening = Events::of(replica.listening()).await;
    let mut progress = call("test_tool_with_progress", json!({}));
    progress["params"]["_meta"] = json!({"progressToken": "p"});
    let answer = replica.post("/mcp", &progress).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert!(answer.body["result"].is_object(), "{answer:?}");
    // What it asks has nobody to answer it, and it learns so at once.
    let asks = call("test_elicitation", json!({"message": "Go?"}));
    let answer = replica.post("/mcp", &asks).await;
    let error = &answer.body["result"]["_meta"]["io.mcp-hybrid/error"];
    assert_eq!(error["code"], "input-required", "{answer:?}");
    drop(listening);
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_ends_its_call() {
    let replica = Replica::start(&[("MCP_MAX_STREAMS", "1")]).await;
    let mut events = replica
        .stream("test_elicitation", json!({"message": "Go?"}))
        .await;
    let question = events.must().await;
    drop(events);
    let result = json!({"action": "decline"});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
    // Nobody waits for the answer any more, and the stream's place is free.
    eventually(PATIENCE, async || {
        match replica.post("/mcp", &answer).await.status {
            404 => Ok(()),
            status => Err(format!("it answers {status}")),
        }
    })
    .await;
    replica
        .stream("test_elicitation", json!({"message": "Go?"}))
        .await
        .must()
        .await;
}

#[tokio::test]
async fn a_stopping_replica_ends_its_subscriptions_with_a_result() {
    let replica = Replica::start(&[]).await;
    let mut events = Events::of(replica.listening()).await;
    let first = events.must().await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    replica.stop().await;
    assert_eq!(events.must().await["id"], 1);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_preflight_request_of_a_listed_page_is_answered_and_of_another_is_not() {
    let replica = Replica::start(&[("MCP_ALLOWED_ORIGINS", "https://app.example.com")]).await;
    let ask = |origin: &str| {
        reqwest::Client::new()
            .request(reqwest::Method::OPTIONS, replica.url("/mcp"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "mcp-method,mcp-param-region",
            )
            .send()
    };
    let allowed = ask("https://app.example.com").await.unwrap();
    assert_eq!(allowed.status(), 204);
    let headers = allowed.headers();
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://app.example.com"
    );
    assert_eq!(
        headers["access-control-allow-headers"],
        "mcp-method,mcp-param-region"
    );
    let refused = ask("https://evil.example").await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(
        !refused
            .headers()
            .contains_key("access-control-allow-origin")
    );
    let call = call("test_simple_text", json!({}));
    let request = replica
        .request("/mcp", &call)
        .header("origin", "https://app.example.com");
    let read = request.send().await.unwrap();
    assert_eq!(
        read.headers()["access-control-allow-origin"],
        "https://app.example.com"
    );
}
