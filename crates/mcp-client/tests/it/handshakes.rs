//! Who a server is and which tools it has.

use std::time::Duration;

use mcp_client::Handshake;
use mcp_core::{Blame, ErrorCode, Failure};
use serde_json::{Value, json};

use crate::stub::{Reply, Seen, Stub, call, said};

const LIMIT: Duration = Duration::from_secs(20);

fn tool(name: &str) -> Value {
    json!({"name": name, "description": "d", "inputSchema": {"type": "object"}})
}

/// Two pages of one tool each.
fn page(seen: &Seen) -> Reply {
    match seen.json()["params"]["cursor"].as_str() {
        None => Reply::result(seen, json!({"tools": [tool("a")], "nextCursor": "2"})),
        Some("2") => Reply::result(seen, json!({"tools": [tool("b")]})),
        Some(_) => Reply::error(400, seen, -32602, "bad cursor"),
    }
}

fn check(handshake: &Handshake, version: &str) {
    assert_eq!(handshake.protocol_version, version);
    assert_eq!(handshake.server_info.name, "demo");
    assert_eq!(handshake.server_info.version, "1.2");
    assert_eq!(
        handshake.capabilities["tools"],
        json!({"listChanged": true})
    );
    let names: Vec<_> = handshake
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(handshake.tools[0].description.as_deref(), Some("d"));
}

#[tokio::test]
async fn a_modern_server_is_discovered() {
    let stub = Stub::start(|seen| match seen.method().as_str() {
        "server/discover" => Reply::result(
            seen,
            json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {"listChanged": true}},
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "demo", "version": "1.2"}}}),
        ),
        "tools/list" => page(seen),
        _ => Reply::result(seen, said("hi")),
    })
    .await;
    let client = stub.client();
    check(&client.initialize(LIMIT).await.unwrap(), "2026-07-28");
    call(&client).await.unwrap();
    assert_eq!(
        stub.eras(),
        [
            "+server/discover",
            "+tools/list",
            "+tools/list",
            "+tools/call"
        ]
    );
}

#[tokio::test]
async fn a_legacy_server_is_initialized_and_its_session_ended() {
    let refusals: [fn(&Seen) -> Reply; 5] = [
        |seen| Reply::error(400, seen, -32000, "Bad Request: Server not initialized"),
        |seen| Reply::error(200, seen, -32601, "Method not found"),
        |seen| Reply::result(seen, json!({})),
        |_| Reply::text(500, "unknown method"),
        |seen| Reply::result(seen, json!({"supportedVersions": ["2025-11-25"]})),
    ];
    for refusal in refusals {
        let stub = Stub::start(move |seen| match (seen.method().as_str(), seen.header("mcp-session-id")) {
            ("server/discover", _) => refusal(seen),
            ("initialize", None) => Reply::result(
                seen,
                json!({"protocolVersion": "2025-03-26", "capabilities": {"tools": {"listChanged": true}},
                    "serverInfo": {"name": "demo", "version": "1.2"}}),
            )
            .with("mcp-session-id", "s1"),
            ("tools/list", Some("s1")) => page(seen),
            (_, Some("s1")) => Reply::text(202, ""),
            _ => Reply::text(500, "unexpected"),
        })
        .await;
        check(
            &stub.client().initialize(LIMIT).await.unwrap(),
            "2025-03-26",
        );
        assert_eq!(
            stub.methods(),
            [
                "server/discover",
                "initialize",
                "notifications/initialized",
                "tools/list",
                "tools/list",
                "DELETE"
            ]
        );
    }
}

async fn failure(
    answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    limit: Duration,
) -> Failure {
    let stub = Stub::start(answer).await;
    let client = stub.build(|b| b.answer_max_bytes(20_000));
    client.initialize(limit).await.unwrap_err()
}

#[tokio::test]
async fn a_failure_speaks_of_a_third_party() {
    let endless = |seen: &Seen| match seen.method().as_str() {
        "server/discover" => Reply::result(
            seen,
            json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}),
        ),
        _ => Reply::result(
            seen,
            json!({"tools": [tool(&"x".repeat(1_000))], "nextCursor": "again"}),
        ),
    };
    let cases = [
        (
            failure(|_| Reply::Hang, Duration::from_millis(200)).await,
            ErrorCode::HandshakeTimeout,
        ),
        (failure(endless, LIMIT).await, ErrorCode::HandshakeTooLarge),
        (
            failure(|_| Reply::text(404, "no"), LIMIT).await,
            ErrorCode::HandshakeFailed,
        ),
        (
            failure(|_| Reply::text(401, "no"), LIMIT).await,
            ErrorCode::HandshakeFailed,
        ),
        (
            failure(|_| Reply::text(200, "<html>"), LIMIT).await,
            ErrorCode::HandshakeFailed,
        ),
        (
            failure(|_| Reply::text(307, ""), LIMIT).await,
            ErrorCode::HandshakeFailed,
        ),
        (
            failure(|_| Reply::text(503, ""), LIMIT).await,
            ErrorCode::ToolUnavailable,
        ),
        (
            failure(|_| Reply::Reset, LIMIT).await,
            ErrorCode::ToolUnavailable,
        ),
        (
            failure(|_| Reply::text(429, ""), LIMIT).await,
            ErrorCode::ToolUnavailable,
        ),
    ];
    for (failure, code) in cases {
        assert_eq!(failure.code, code, "{failure}");
        assert_eq!(failure.code.blame(), Blame::Job, "{failure}");
    }
}
