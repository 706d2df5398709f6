//! A line for each call and each refusal, wherever they are to go.

use mcp_testkit::eventually;
use serde_json::{Value, json};

use crate::counter::{Counter, CountingServer};
use crate::replica::Replica;
use crate::server::{PATIENCE, Server, call};

/// The lines of a file, once there are so many.
async fn lines(path: &std::path::Path, count: usize) -> Vec<Value> {
    eventually(PATIENCE, async || {
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        if lines.len() == count {
            Ok(lines)
        } else {
            Err(text)
        }
    })
    .await
}

#[tokio::test]
async fn every_call_has_a_line_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let tool = Counter::closed();
    let variables = [
        ("MCP_AUDIT_LOG", file.to_str().unwrap()),
        ("MCP_KEY_CONCURRENCY", "1"),
    ];
    let replica = CountingServer::start(&tool, &variables).await;
    let given_up = replica.calling("k");
    tool.until_begun(1).await;
    assert_eq!(replica.call(None, json!({})).await.status, 429);
    given_up.abort();
    let first = lines(&file, 2).await;
    assert_eq!(first[0]["outcome"], "too-many-at-once");
    assert_eq!(
        (&first[0]["audit"], &first[1]["audit"]),
        (&json!("refused"), &json!("call"))
    );
    assert_eq!(first[1]["outcome"], "cancelled");
    tool.open_for(100);
    replica.count("k").await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = replica
        .request(Some("k"), json!({}))
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    crate::server::answer(request).await;
    replica.call(None, json!({"fail": "tool-failed"})).await;
    replica
        .call(Some("k"), json!({"fail": "tool-failed"}))
        .await;
    let request = replica.request(None, json!({}));
    let unknown = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"no\nsuch"}}"#;
    crate::server::answer(request.body(unknown)).await;
    let all = lines(&file, 7).await;
    assert_eq!(
        (&all[6]["tool"], &all[6]["outcome"]),
        (&json!("no such"), &json!("unknown-tool"))
    );
    let outcomes: Vec<_> = all[2..6]
        .iter()
        .map(|line| line["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(
        outcomes,
        ["ok", "ok", "tool-failed", "idempotency-key-reused"]
    );
    let line = &all[3];
    assert_eq!(line["tool"], "count");
    assert_eq!(line["key"], "-");
    assert_eq!(line["idempotencyKey"], "k");
    assert_eq!(line["replayed"], true);
    assert_eq!(line["traceId"], trace);
    assert!(
        line["durationMs"].is_number() && line["time"].is_string(),
        "{line}"
    );
    assert!(
        line["peer"].as_str().unwrap().starts_with("127.0.0.1:"),
        "{line}"
    );
    assert_eq!(all[2].get("replayed"), None);
}

#[tokio::test]
async fn every_refusal_has_a_line_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let variables = [
        ("MCP_AUDIT_LOG", file.to_str().unwrap()),
        ("MCP_MAX_BODY_BYTES", "4096"),
        ("MCP_MAX_STREAMS", "1"),
    ];
    let server = Server::with("", &variables).await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_owned();
    let launch = call(json!({"name": "x", "command": "sh"}));
    let nameless = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#.to_owned();
    let modern = ("mcp-protocol-version", "2026-07-28");
    let cases = [
        (
            ("content-type", "text/plain"),
            &ping,
            415,
            "wrong-content-type",
        ),
        (("x-a", "b"), &"x".repeat(5_000), 413, "body-too-large"),
        (("host", "evil.example"), &ping, 403, "foreign-host"),
        (
            ("origin", "http://evil.example"),
            &ping,
            403,
            "foreign-origin",
        ),
        (("x-a", "b"), &"{".to_owned(), 400, "malformed"),
        (modern, &launch, 400, "header-mismatch"),
        (("x-a", "b"), &nameless, 200, "invalid-request"),
    ];
    for (header, body, status, _) in &cases {
        let answer = server.post("/mcp", &[*header], (*body).clone()).await;
        assert_eq!(answer.status, *status, "{header:?}: {answer:?}");
    }
    let elsewhere = "/message?sessionId=0.1";
    let answer = server.post(elsewhere, &[], launch.clone()).await;
    assert_eq!(answer.status, 404, "{answer:?}");
    let open = async || reqwest::get(format!("{}/sse", server.url)).await.unwrap();
    let stream = open().await;
    assert_eq!(
        (stream.status().as_u16(), open().await.status().as_u16()),
        (200, 503)
    );
    let lines = lines(&file, cases.len() + 2).await;
    let expected = cases
        .iter()
        .map(|(.., why)| *why)
        .chain(["unknown-session", "too-many-streams"]);
    for (line, why) in lines.iter().zip(expected) {
        assert_eq!(
            (&line["audit"], &line["outcome"]),
            (&json!("refused"), &json!(why))
        );
        assert!(
            line["peer"].as_str().unwrap().starts_with("127.0.0.1:"),
            "{line}"
        );
    }
    assert_eq!(lines[5]["tool"], "server_initialize");
}

#[tokio::test]
async fn calls_that_are_refused_on_the_way_to_their_tool_have_a_line_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.log");
    let replica = Replica::start(&[("MCP_AUDIT_LOG", file.to_str().unwrap())]).await;
    let tool = "test_input_required_result_elicitation";
    let forged = json!({"name": tool, "arguments": {}, "requestState": "forged"});
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    let lacking = json!({"name": tool, "arguments": {}, "_meta": {capabilities: 7}});
    for params in [forged, lacking] {
        let answer = replica.modern("tools/call", params).await;
        assert!(answer.body["error"].is_object(), "{answer:?}");
    }
    let lines = lines(&file, 2).await;
    for (line, why) in lines.iter().zip(["foreign-state", "invalid-request"]) {
        assert_eq!(
            (&line["outcome"], &line["tool"]),
            (&json!(why), &json!(tool))
        );
    }
}

#[tokio::test]
async fn by_default_the_lines_are_on_standard_error_and_the_last_one_is_there_at_the_end() {
    let mut server = Server::start().await;
    let body = call(json!({"name": "x", "command": "sh", "args": ["hunter2"]}));
    for _ in 0..20 {
        server.post("/mcp", &[], body.clone()).await;
    }
    server.process.terminate();
    assert!(server.process.wait_exit(PATIENCE).await.success());
    eventually(PATIENCE, async || {
        let printed = server.process.output();
        let lines: Vec<_> = printed
            .iter()
            .filter(|line| line.contains("\"audit\""))
            .collect();
        assert!(lines.iter().all(|line| line.contains("launch-denied")));
        assert!(lines.iter().all(|line| !line.contains("hunter2")));
        if lines.len() == 20 {
            Ok(())
        } else {
            Err(format!("{} lines", lines.len()))
        }
    })
    .await;
}
