use std::{sync::Arc, time::Duration};

use mcp_testkit::{Outcome, Reply, StubServer};
use serde_json::{Value, json};
use tokio::sync::Barrier;

const SOON: Duration = Duration::from_secs(20);

async fn call(server: &StubServer, name: &str) -> reqwest::Result<reqwest::Response> {
    let request = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "server_initialize", "arguments": {"name": name}},
    });
    reqwest::Client::new()
        .post(format!("{}/message", server.url()))
        .header("Idempotency-Key", format!("key of {name}"))
        .json(&request)
        .send()
        .await
}

#[tokio::test]
async fn the_plan_decides_each_attempt() {
    let server = StubServer::start(|call| async move {
        match call.attempt {
            1 => Reply::status(503).header("Retry-After", "1"),
            2 => Reply::rpc_error(-32603, "broken"),
            3 => Reply::tool_error("launch_failed", true, "not now"),
            _ => Reply::initialized(&call),
        }
    })
    .await;

    let first = call(&server, "a").await.unwrap();
    assert_eq!(first.status(), 503);
    assert_eq!(first.headers()["retry-after"], "1");
    let second: Value = call(&server, "a").await.unwrap().json().await.unwrap();
    assert_eq!(second["error"]["code"], -32603);
    let third: Value = call(&server, "a").await.unwrap().json().await.unwrap();
    let error = &third["result"]["_meta"]["io.mcp-hybrid/error"];
    assert_eq!(*error, json!({"code": "launch_failed", "retryable": true}));
    let fourth: Value = call(&server, "a").await.unwrap().json().await.unwrap();
    assert_eq!(fourth["result"]["structuredContent"]["name"], "a");

    let calls = server.calls();
    assert_eq!(calls.len(), 4);
    assert_eq!(calls[3].call.tool, "server_initialize");
    assert_eq!(calls[3].call.idempotency_key(), Some("key of a"));
    assert_eq!(calls[3].call.path, "/message");
}

#[tokio::test]
async fn a_reset_is_no_answer() {
    let server = StubServer::start(|_| async { Reply::Reset }).await;

    let error = call(&server, "a").await.unwrap_err();

    assert!(
        format!("{error:?}").contains("ConnectionReset"),
        "{error:?}"
    );
    let calls = server.wait_ended(1, SOON).await;
    assert!(matches!(calls[0].ended, Some((_, Outcome::Reset))));
}

#[tokio::test]
async fn a_stream_ends_with_the_answer() {
    let server = StubServer::start(|_| async { Reply::text("done").as_sse() }).await;

    let response = call(&server, "a").await.unwrap();

    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = response.text().await.unwrap();
    assert!(events.contains("\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\""));
}

#[tokio::test]
async fn a_stopped_server_refuses_and_comes_back_on_its_port() {
    let mut server = StubServer::start(|call| async move {
        match call.name() {
            "hang" => Reply::Hang,
            _ => Reply::text("done"),
        }
    })
    .await;
    let hanging = call(&server, "hang");
    let stopping = async {
        server.wait_calls(1, SOON).await;
    };
    tokio::select! {
        _ = hanging => panic!("a hanging call has no answer"),
        () = stopping => {}
    }
    let calls = server.wait_ended(1, SOON).await;
    assert!(matches!(calls[0].ended, Some((_, Outcome::Abandoned))));

    server.stop().await;
    assert!(call(&server, "a").await.unwrap_err().is_connect());
    server.start_again().await;
    assert_eq!(call(&server, "a").await.unwrap().status(), 200);
    assert_eq!(server.calls().len(), 2);
}

#[tokio::test]
async fn calls_that_run_side_by_side_are_seen_to_overlap() {
    let both = Arc::new(Barrier::new(2));
    let server = StubServer::start(move |_| {
        let both = both.clone();
        async move {
            both.wait().await;
            Reply::text("done")
        }
    })
    .await;

    let (first, second) = tokio::join!(call(&server, "a"), call(&server, "b"));

    assert!(first.is_ok() && second.is_ok());
    let calls = server.wait_ended(2, SOON).await;
    assert!(calls[0].overlaps(&calls[1]));
}
