use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{Answer, Server};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn assert_error(answer: &Answer, status: u16, code: i64, what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json", "{what}");
    assert_eq!(answer.body["jsonrpc"], "2.0", "{what}");
    assert_eq!(answer.body["error"]["code"], code, "{what}: {answer:?}");
    assert!(answer.body.get("id").is_some(), "{what}");
    assert!(!answer.body["error"]["message"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn every_malformed_message_is_answered_with_a_json_rpc_error() {
    let server = Server::start().await;
    let cases: [(&[u8], u16, i64); 19] = [
        (b"", 400, -32700),
        (b"{", 400, -32700),
        (b"hello", 400, -32700),
        (b"\xff\xfe", 400, -32700),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"x\":\"\xff\"}", 400, -32700),
        (b"[]", 400, -32600),
        (b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", 400, -32600),
        (b"null", 400, -32600),
        (b"{}", 400, -32600),
        (b"{\"id\":1,\"method\":\"ping\"}", 400, -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", 400, -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", 400, -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", 400, -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}", 400, -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", 400, -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\"}", 200, -32602),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":7}}", 200, -32602),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"server_initialize\",\"arguments\":[]}}",
            200,
            -32602,
        ),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"nope\"}}", 200, -32602),
    ];
    for path in ["/mcp", "/message"] {
        for (body, status, code) in cases {
            let what = format!("{path} {}", String::from_utf8_lossy(body));
            assert_error(&server.post(path, &[], body).await, status, code, &what);
        }
        let deep = "[".repeat(100_000);
        assert_error(
            &server.post(path, &[], deep).await,
            400,
            -32700,
            "deep nesting",
        );
        let large = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "x".repeat(5 << 20)}});
        assert_error(
            &server.post(path, &[], large.to_string()).await,
            413,
            -32600,
            "5 MiB",
        );
    }
    let works = server
        .post("/mcp", &[], r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
        .await;
    assert_eq!(works.body["result"], json!({}));
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let server = Server::start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let refused = server
            .post("/message", &[("content-type", kind)], body)
            .await;
        assert_error(&refused, 415, -32600, kind);
    }
    let charset = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(server.post("/message", &charset, body).await.status, 200);
}

#[tokio::test]
async fn a_session_that_nobody_opened_is_not_found() {
    let server = Server::start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let refused = server.post("/message?sessionId=1", &[], body).await;
    assert_error(&refused, 404, -32600, "sessionId");
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_and_listed_ones_are_not() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let server = Server::with(
        "",
        &[
            ("MCP_ALLOWED_HOSTS", "mcp-server,localhost"),
            ("MCP_ALLOWED_ORIGINS", "https://app.example.com:443"),
        ],
    )
    .await;
    for (name, value, status) in [
        ("host", "evil.example", 403),
        ("host", "127.0.0.1", 403),
        ("host", "mcp-server:8080", 200),
    ] {
        let answer = server.post("/mcp", &[(name, value)], body).await;
        assert_eq!(answer.status, status, "{name}: {value}: {answer:?}");
    }
    for (origin, status) in [
        ("https://app.example.com", 200),
        ("https://evil.example", 403),
        ("http://localhost:3000", 403),
        ("null", 403),
    ] {
        let headers = [("host", "localhost"), ("origin", origin)];
        let answer = server.post("/message", &headers, body).await;
        assert_eq!(answer.status, status, "{origin}: {answer:?}");
    }
    let plain = Server::start().await;
    for (origin, status) in [
        ("http://localhost:3000", 200),
        ("https://evil.example", 403),
    ] {
        let answer = plain.post("/mcp", &[("origin", origin)], body).await;
        assert_eq!(answer.status, status, "{origin}");
    }
    let refused = plain.post("/mcp", &[("host", "evil.example")], body).await;
    assert_error(&refused, 403, -32600, "foreign host");
}

#[tokio::test]
async fn headers_that_contradict_the_message_are_refused() {
    let server = Server::start().await;
    let params = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }});
    let body =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}).to_string();
    let version = ("mcp-protocol-version", "2026-07-28");
    let refused = server
        .post(
            "/mcp",
            &[version, ("mcp-method", "tools/call")],
            body.clone(),
        )
        .await;
    assert_error(&refused, 400, -32020, "another method");
    let refused = server
        .post("/mcp", &[("mcp-protocol-version", "2031-01-01")], body)
        .await;
    assert_eq!(refused.status, 400);
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let refused = server
        .post("/mcp", &[("mcp-protocol-version", "1999-01-01")], body)
        .await;
    assert_error(&refused, 400, -32600, "an unknown version");
    assert_eq!(refused.body["id"], Value::from(1));
}

#[tokio::test]
async fn two_host_headers_are_refused_for_others_might_believe_the_other_one() {
    let server = Server::start().await;
    let answer = server
        .post("/mcp", &[("host", "localhost"), ("x-a", "b")], PING)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json";
    let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{PING}", PING.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("-32600"), "{answer}");
}
