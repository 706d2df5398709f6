//! What is sent.

use std::time::Duration;

use indexmap::IndexMap;
use mcp_client::{BuildError, McpClient, ServerUrl, ToolCall};
use mcp_core::{IdempotencyKey, Secret};
use serde_json::{Map, json};

use crate::stub::{Reply, Seen, Stub, call, event, said};

fn whole_call<'a>(
    arguments: &'a Map<String, serde_json::Value>,
    key: &'a IdempotencyKey,
    trace: &'a [(String, String)],
) -> ToolCall<'a> {
    ToolCall {
        tool: "grüßen",
        arguments,
        idempotency_key: Some(key),
        trace,
        timeout: Duration::from_secs(20),
    }
}

fn parts() -> (
    Map<String, serde_json::Value>,
    IdempotencyKey,
    Vec<(String, String)>,
) {
    let arguments = json!({"who": "world"}).as_object().unwrap().clone();
    let trace = [("traceparent", "00-0a-0b-01"), ("x-other", "not sent")];
    (
        arguments,
        IdempotencyKey::new("mcp-jobs", "jöb", "s"),
        trace
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    )
}

#[tokio::test]
async fn a_modern_call_has_exactly_these_bytes() {
    let stub = Stub::start(|seen| Reply::result(seen, said("hi"))).await;
    let headers = IndexMap::from([("X-Tenant".to_owned(), Secret::new("t1"))]);
    let client = stub.build(|b| b.api_key(Some(Secret::new("k1"))).headers(headers));
    let (arguments, key, trace) = parts();
    let result = client
        .call_tool(whole_call(&arguments, &key, &trace))
        .await
        .unwrap();
    assert_eq!(result.text(), Some("hi"));

    let Seen { head, body } = &stub.seen()[0];
    assert_eq!(
        body,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"mcp-hybrid","version":"0.1.0"},"io.modelcontextprotocol/clientCapabilities":{},"io.mcp-hybrid/idempotency-key":"mcp-jobs/jöb/s","traceparent":"00-0a-0b-01"},"name":"grüßen","arguments":{"who":"world"}}}"#
    );
    let expected = format!(
        "POST /mcp HTTP/1.1\r\n\
         idempotency-key: mcp-jobs/j%C3%B6b/s\r\n\
         traceparent: 00-0a-0b-01\r\n\
         mcp-protocol-version: 2026-07-28\r\n\
         mcp-method: tools/call\r\n\
         mcp-name: =?base64?Z3LDvMOfZW4=?=\r\n\
         x-tenant: t1\r\n\
         authorization: Bearer k1\r\n\
         content-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n\
         user-agent: mcp-hybrid/0.1.0\r\n\
         host: 127.0.0.1:{}\r\n\
         content-length: {}\r\n\r\n",
        stub.port,
        body.len()
    );
    assert_eq!(*head, expected);
}

#[tokio::test]
async fn a_legacy_call_carries_the_key_and_the_trace_and_nothing_of_the_modern_era() {
    let stub = Stub::start(|seen| match seen.method().as_str() {
        _ if seen.is_modern() => Reply::text(400, "Unsupported protocol version"),
        "initialize" => Reply::result(
            seen,
            json!({"protocolVersion": "2025-11-25", "capabilities": {}}),
        ),
        "tools/call" => Reply::result(seen, said("hi")),
        _ => Reply::text(202, ""),
    })
    .await;
    let (arguments, key, trace) = parts();
    stub.client()
        .call_tool(whole_call(&arguments, &key, &trace))
        .await
        .unwrap();

    let bodies: Vec<_> = stub.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(
        bodies[1..],
        [
            r#"{"jsonrpc":"2.0","id":2,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcp-hybrid","version":"0.1.0"}}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"_meta":{"io.mcp-hybrid/idempotency-key":"mcp-jobs/jöb/s","traceparent":"00-0a-0b-01"},"name":"grüßen","arguments":{"who":"world"}}}"#,
        ]
    );
    let last = stub.seen().pop().unwrap();
    assert_eq!(last.header("mcp-protocol-version"), Some("2025-11-25"));
    assert_eq!(last.header("idempotency-key"), Some("mcp-jobs/j%C3%B6b/s"));
    assert_eq!(last.header("mcp-method"), None);
}

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    for events in [false, true] {
        let stub = Stub::start(move |seen| match events {
            true => Reply::events(&event(seen, said("hi"))),
            false => Reply::result(seen, said("hi")),
        })
        .await;
        let client = stub.client();
        for _ in 0..3 {
            call(&client).await.unwrap();
        }
        assert_eq!(stub.connections(), 1);
        let ids: Vec<_> = stub
            .seen()
            .iter()
            .map(|seen| seen.json()["id"].clone())
            .collect();
        assert_eq!(ids, [1, 2, 3]);
    }
}

#[tokio::test]
async fn arguments_that_the_server_wants_in_headers_are_mirrored_after_it_said_so() {
    let stub = Stub::start(|seen| match seen.method().as_str() {
        "tools/list" => Reply::result(
            seen,
            json!({"tools": [{"name": "echo", "inputSchema": {"type": "object", "properties": {
                "region": {"type": "string", "x-mcp-header": "Region"}}}}]}),
        ),
        _ if seen.header("mcp-param-region") == Some("eu") => Reply::result(seen, said("hi")),
        _ => Reply::error(
            400,
            seen,
            -32020,
            "Header mismatch: Mcp-Param-Region is missing",
        ),
    })
    .await;
    let client = stub.client();
    let arguments = json!({"region": "eu"}).as_object().unwrap().clone();
    let call = ToolCall {
        tool: "echo",
        arguments: &arguments,
        idempotency_key: None,
        trace: &[],
        timeout: Duration::from_secs(20),
    };
    for _ in 0..2 {
        client.call_tool(call).await.unwrap();
    }
    assert_eq!(
        stub.methods(),
        ["tools/call", "tools/list", "tools/call", "tools/call"]
    );
}

#[test]
fn keys_and_headers_that_cannot_be_sent_stop_the_build_without_being_shown() {
    let url = || ServerUrl::parse("http://h").unwrap();
    let error = McpClient::builder(url())
        .api_key(Some(Secret::new("hunter2\n")))
        .build()
        .unwrap_err();
    assert!(matches!(error, BuildError::ApiKey));
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    for (name, value, names_it) in [
        ("bad name", "v", true),
        ("x", "hunter2\n", false),
        ("Host", "v", true),
        ("Mcp-Session-Id", "v", true),
        ("Transfer-Encoding", "v", true),
    ] {
        let headers = IndexMap::from([(name.to_owned(), Secret::new(value))]);
        let error = McpClient::builder(url())
            .headers(headers)
            .build()
            .unwrap_err()
            .to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(!names_it || error.contains(name), "{error}");
    }
}

#[test]
fn nothing_secret_is_in_the_debug_output() {
    let url = ServerUrl::parse("http://h/mcp?key=hunter2").unwrap();
    let headers = IndexMap::from([("x".to_owned(), Secret::new("hunter2"))]);
    let builder = McpClient::builder(url)
        .api_key(Some(Secret::new("hunter2")))
        .headers(headers);
    let shown = format!("{builder:?} {:?}", builder.clone().build().unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}
