//! The HTTP+SSE transport of 2024-11-05.

use std::sync::Mutex;
use std::time::Duration;

use mcp_core::{ErrorCode, Secret};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::stub::{Reply, Seen, Stub};

const LIMIT: Duration = Duration::from_secs(20);

fn answer(feed: &UnboundedSender<String>, seen: &Seen) {
    let result = match seen.method().as_str() {
        "initialize" => json!({"protocolVersion": "2024-11-05", "capabilities": {"tools": {}},
            "serverInfo": {"name": "old", "version": "0.9"}}),
        "tools/list" => json!({"tools": [{"name": "a", "inputSchema": {}}]}),
        _ => return,
    };
    let ping = json!({"jsonrpc": "2.0", "id": "p", "method": "ping"});
    let response = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": result});
    feed.send(format!(
        "event: message\ndata: {ping}\n\nevent: message\ndata: {response}\n\n"
    ))
    .unwrap();
}

fn stream() -> (
    UnboundedSender<String>,
    Mutex<Option<UnboundedReceiver<String>>>,
) {
    let (feed, stream) = unbounded_channel();
    (feed, Mutex::new(Some(stream)))
}

#[tokio::test]
async fn an_old_server_is_initialized_over_its_stream() {
    let (feed, stream) = stream();
    let stub = Stub::start(move |seen| {
        if seen.method() == "GET" {
            feed.send("event: endpoint\ndata: /messages?session_id=1\n\n".to_owned())
                .unwrap();
            return Reply::Feed(stream.lock().unwrap().take().unwrap());
        }
        answer(&feed, seen);
        Reply::text(202, "Accepted")
    })
    .await;
    let client = stub.build(|b| b.api_key(Some(Secret::new("k1"))));
    let handshake = client.initialize_over_sse(LIMIT).await.unwrap();
    assert_eq!(handshake.protocol_version, "2024-11-05");
    assert_eq!(handshake.server_info.name, "old");
    assert_eq!(handshake.tools[0].name, "a");
    for seen in &stub.seen()[1..] {
        assert!(
            seen.head.starts_with("POST /messages?session_id=1 "),
            "{}",
            seen.head
        );
        assert_eq!(seen.header("authorization"), Some("Bearer k1"));
    }
    let replies: Vec<Value> = stub
        .seen()
        .iter()
        .map(Seen::json)
        .filter(|m| m["id"] == "p")
        .collect();
    assert_eq!(
        replies[0],
        json!({"jsonrpc": "2.0", "id": "p", "result": {}})
    );
}

#[tokio::test]
async fn an_endpoint_on_another_origin_never_sees_the_key() {
    let elsewhere = Stub::start(|_| Reply::text(202, "")).await;
    let (feed, stream) = stream();
    feed.send(format!(
        "event: endpoint\ndata: http://127.0.0.1:{}/m\n\n",
        elsewhere.port
    ))
    .unwrap();
    let stub = Stub::start(move |_| Reply::Feed(stream.lock().unwrap().take().unwrap())).await;
    let client = stub.build(|b| b.api_key(Some(Secret::new("k1"))));
    let failure = client.initialize_over_sse(LIMIT).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::HandshakeFailed);
    assert!(failure.message.contains("another origin"), "{failure}");
    assert_eq!(elsewhere.methods(), [""; 0]);
}

#[tokio::test]
async fn what_is_no_such_server_fails_with_the_reason() {
    for (reply, code) in [
        (
            (|_: &Seen| Reply::text(405, "")) as fn(&Seen) -> Reply,
            ErrorCode::HandshakeFailed,
        ),
        (|_| Reply::text(200, "hello"), ErrorCode::HandshakeFailed),
        (
            |_| Reply::events("data: {}\n\n"),
            ErrorCode::HandshakeFailed,
        ),
        (|_| Reply::events(""), ErrorCode::ToolUnavailable),
        (|_| Reply::text(503, ""), ErrorCode::ToolUnavailable),
        (
            |_| Reply::events(&":".repeat(30_000)),
            ErrorCode::HandshakeTooLarge,
        ),
    ] {
        let stub = Stub::start(reply).await;
        let client = stub.build(|b| b.answer_max_bytes(20_000));
        let failure = client.initialize_over_sse(LIMIT).await.unwrap_err();
        assert_eq!(failure.code, code, "{failure}");
    }
    let stub = Stub::start(|_| Reply::Hang).await;
    let failure = stub
        .client()
        .initialize_over_sse(Duration::from_millis(200))
        .await
        .unwrap_err();
    assert_eq!(failure.code, ErrorCode::HandshakeTimeout);
}
