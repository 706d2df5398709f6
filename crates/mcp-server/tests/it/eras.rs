use serde_json::{Value, json};

use crate::server::{Server, answer};

const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

#[tokio::test]
async fn a_client_of_any_older_version_is_answered_in_it_without_a_session() {
    let server = Server::start().await;
    for version in LEGACY {
        let params = json!({
            "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
        });
        let initialized = server.legacy(version, "initialize", params).await;
        assert_eq!(initialized.status, 200);
        assert_eq!(initialized.body["result"]["protocolVersion"], version);
        assert!(!initialized.headers.contains_key("mcp-session-id"));
        let listed = server.legacy(version, "tools/list", json!({})).await;
        listed.tool("server_initialize");
        assert_eq!(listed.body["result"].get("resultType"), None);
        let called = server
            .legacy(
                version,
                "tools/call",
                json!({"name": "server_initialize", "arguments": {}}),
            )
            .await;
        assert_eq!(called.body["result"]["isError"], true, "{called:?}");
    }
}

#[tokio::test]
async fn a_client_of_today_discovers_lists_and_calls_with_one_request_each() {
    let server = Server::start().await;
    let discovered = server.modern("server/discover", json!({})).await;
    assert_eq!(discovered.status, 200, "{discovered:?}");
    let versions = discovered.body["result"]["supportedVersions"]
        .as_array()
        .unwrap();
    for version in LEGACY.iter().chain(&["2026-07-28"]) {
        assert!(versions.contains(&Value::from(*version)), "{versions:?}");
    }
    let listed = server.modern("tools/list", json!({})).await;
    assert_eq!(listed.body["result"]["resultType"], "complete");
    assert!(listed.body["result"]["ttlMs"].as_u64().unwrap() > 0);
    let tool = listed.tool("server_initialize");
    assert_eq!(tool["inputSchema"]["required"], json!(["name"]));
    assert_eq!(tool["outputSchema"]["type"], "object");
    assert_eq!(tool["annotations"]["idempotentHint"], true);
    assert_eq!(tool["annotations"]["readOnlyHint"], false);
    let params = json!({"name": "server_initialize", "arguments": {"name": "a", "command": "sh"}});
    let called = server.modern("tools/call", params).await;
    assert_eq!(called.status, 200);
    assert_eq!(called.body["result"]["isError"], true);
}

#[tokio::test]
async fn message_takes_a_bare_request_whatever_it_accepts() {
    let server = Server::start().await;
    let body = r#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#;
    for accept in [
        None,
        Some("*/*"),
        Some("application/json"),
        Some("text/plain"),
    ] {
        let headers: Vec<_> = accept.iter().map(|accept| ("accept", *accept)).collect();
        for path in ["/message", "/mcp"] {
            let answer = server.post(path, &headers, body).await;
            assert_eq!(answer.status, 200, "{path} {accept:?}");
            assert_eq!(answer.headers["content-type"], "application/json");
            assert_eq!(answer.body["id"], "a");
        }
    }
}

#[tokio::test]
async fn methods_that_were_not_declared_do_not_exist() {
    let server = Server::start().await;
    for method in [
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "completion/complete",
        "logging/setLevel",
        "no/such/method",
    ] {
        let legacy = server.legacy("2025-11-25", method, json!({})).await;
        assert_eq!(
            (legacy.status, &legacy.body["error"]["code"]),
            (200, &json!(-32601)),
            "{method}: {legacy:?}"
        );
    }
    for method in ["prompts/list", "resources/list", "no/such/method"] {
        let modern = server.modern(method, json!({})).await;
        assert_eq!(
            (modern.status, &modern.body["error"]["code"]),
            (404, &json!(-32601)),
            "{method}: {modern:?}"
        );
    }
}

#[tokio::test]
async fn other_http_methods_are_not_allowed() {
    let server = Server::start().await;
    let client = reqwest::Client::new();
    for path in ["/mcp", "/message"] {
        let url = format!("{}{path}", server.url);
        for request in [client.get(&url), client.delete(&url), client.put(&url)] {
            let refused = answer(request).await;
            assert_eq!(refused.status, 405);
            assert_eq!(refused.headers["allow"], "POST");
        }
    }
}

#[tokio::test]
async fn health_readiness_and_metrics_are_on_the_same_port() {
    let server = Server::start().await;
    server
        .post(
            "/message",
            &[],
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        )
        .await;
    let client = reqwest::Client::new();
    for path in ["/health", "/ready"] {
        let ok = answer(client.get(format!("{}{path}", server.url))).await;
        assert_eq!((ok.status, &ok.body["status"]), (200, &json!("ok")));
    }
    let metrics = answer(client.get(format!("{}/metrics", server.url)))
        .await
        .body;
    let metrics = metrics.as_str().unwrap();
    for name in [
        r#"http_server_request_duration_seconds_count{http_route="/message",http_request_method="POST",http_response_status_code="200"} 1"#,
        "http_server_active_requests 0",
    ] {
        assert!(metrics.contains(name), "{name} is not in:\n{metrics}");
    }
}
