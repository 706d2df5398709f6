//! Answers that arrive as event streams.

use mcp_core::ErrorCode;
use serde_json::{Value, json};

use crate::stub::{Reply, Seen, Stub, call, event, failure_of, said};

/// Makes a session, so that the stream of the call is one of 2025-11-25.
fn legacy(
    answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    move |seen| match seen.method().as_str() {
        _ if seen.is_modern() => Reply::text(400, "Missing session ID"),
        "initialize" => {
            let result = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
            Reply::result(seen, result).with("mcp-session-id", "s1")
        }
        "notifications/initialized" => Reply::text(202, ""),
        _ => answer(seen),
    }
}

#[tokio::test]
async fn the_response_is_found_among_notifications_and_strangers() {
    let stub = Stub::start(|seen| {
        let noise = ": comment\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n\
             event: other\ndata: not json\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n\ndata:\n\n";
        Reply::events(&format!("{noise}{}", event(seen, said("hi"))))
    })
    .await;
    assert_eq!(call(&stub.client()).await.unwrap().text(), Some("hi"));
}

#[tokio::test]
async fn an_error_in_a_stream_is_the_failure() {
    let failure = failure_of(|seen| {
        let error = json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": {"code": -32603, "message": "disk full"}});
        Reply::events(&format!("data: {error}\n\n"))
    })
    .await;
    assert_eq!(failure.code, ErrorCode::ServerError);
    assert!(failure.message.contains("disk full"), "{failure}");
}

#[tokio::test]
async fn a_stream_that_ends_without_the_response_is_a_lost_connection() {
    let failure =
        failure_of(|_| Reply::events("id: 7\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\n"))
            .await;
    assert_eq!(failure.code, ErrorCode::ConnectionLost);
}

#[tokio::test]
async fn a_legacy_server_gets_its_requests_answered_so_that_the_tool_goes_on() {
    let (feed, stream) = tokio::sync::mpsc::unbounded_channel();
    let stream = std::sync::Mutex::new(Some(stream));
    let stub = Stub::start(legacy(move |seen| match seen.method().as_str() {
        "tools/call" => {
            let asks = |id: &str, method: &str| {
                let request = json!({"jsonrpc": "2.0", "id": id, "method": method});
                feed.send(format!("data: {request}\n\n")).unwrap();
            };
            asks("a", "ping");
            asks("b", "sampling/createMessage");
            Reply::Feed(stream.lock().unwrap().take().unwrap())
        }
        // Our replies. The tool finishes when the second one is there.
        _ => {
            if seen.json()["id"] == "b" {
                let response = json!({"jsonrpc": "2.0", "id": 3, "result": said("went on")});
                feed.send(format!("data: {response}\n\n")).unwrap();
            }
            Reply::text(202, "")
        }
    }))
    .await;
    assert_eq!(call(&stub.client()).await.unwrap().text(), Some("went on"));
    let replies: Vec<Value> = stub.seen()[4..].iter().map(Seen::json).collect();
    assert_eq!(
        replies[0],
        json!({"jsonrpc": "2.0", "id": "a", "result": {}})
    );
    assert_eq!(replies[1]["id"], "b");
    assert_eq!(replies[1]["error"]["code"], -32601);
    assert_eq!(stub.seen()[5].header("mcp-session-id"), Some("s1"));
}

#[tokio::test]
async fn a_stream_that_a_legacy_server_breaks_off_is_taken_up_where_it_was() {
    let stub = Stub::start(legacy(|seen| {
        match (seen.method().as_str(), seen.header("last-event-id")) {
            ("tools/call", _) => Reply::events("id: e1\nretry: 1\ndata:\n\n"),
            ("GET", Some("e1")) => Reply::events("id: e2\ndata:\n\n"),
            ("GET", Some("e2")) => {
                let response = json!({"jsonrpc": "2.0", "id": 3, "result": said("in the end")});
                Reply::events(&format!("data: {response}\n\n"))
            }
            _ => Reply::text(500, "unexpected"),
        }
    }))
    .await;
    assert_eq!(
        call(&stub.client()).await.unwrap().text(),
        Some("in the end")
    );
    let last = stub.seen().pop().unwrap();
    assert_eq!(last.header("accept"), Some("text/event-stream"));
    assert_eq!(last.header("mcp-session-id"), Some("s1"));
}

#[tokio::test]
async fn a_stream_that_cannot_be_taken_up_is_a_lost_connection() {
    let stub = Stub::start(legacy(|seen| match seen.method().as_str() {
        "tools/call" => Reply::events("id: e1\nretry: 1\ndata:\n\n"),
        _ => Reply::text(405, ""),
    }))
    .await;
    assert_eq!(
        call(&stub.client()).await.unwrap_err().code,
        ErrorCode::ConnectionLost
    );
}
