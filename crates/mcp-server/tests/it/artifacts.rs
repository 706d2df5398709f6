//! Where pictures are kept.

use mcp_testkit::{FakeGemini, GeminiReply};
use serde_json::{Value, json};

use crate::keys::{Keys, new_key};
use crate::server::{Answer, Server};
use crate::svg::CIRCLE;

async fn gemini() -> FakeGemini {
    FakeGemini::always(GeminiReply::svg(CIRCLE, "A circle", "A red circle.")).await
}

async fn draw(server: &Server, headers: &[(&str, &str)]) -> Value {
    let params = json!({"name": "generate_svg", "arguments": {"prompt": "a circle"}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let answer = server.post("/message", headers, body.to_string()).await;
    let output = answer.body["result"]["structuredContent"].clone();
    assert!(output.is_object(), "{answer:?}");
    output
}

/// GETs a URI as a result gives it.
async fn fetch(server: &Server, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let path = uri
        .strip_prefix(&server.url)
        .unwrap_or_else(|| panic!("{uri} is not at {}", server.url));
    server.get(path, headers).await
}

#[tokio::test]
async fn a_picture_is_fetched_under_its_link_and_can_do_nothing_in_a_browser() {
    let gemini = gemini().await;
    let url = gemini.url();
    let variables = [
        ("GEMINI_BASE_URL", url.as_str()),
        ("GEMINI_API_KEY", FakeGemini::KEY),
    ];
    let server = Server::with_database(&variables).await;
    let output = draw(&server, &[]).await;
    let artifact = &output["artifact"];
    let uri = artifact["uri"].as_str().unwrap();
    let found = fetch(&server, uri, &[]).await;
    assert_eq!(found.status, 200, "{found:?}");
    assert_eq!(found.body, output["svg"]);
    let header = |name: &str| found.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "image/svg+xml");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(
        header("cache-control").contains("immutable")
            && header("cache-control").contains("private")
    );
    let policy = header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none';") && policy.ends_with("sandbox"),
        "{policy}"
    );
    assert!(!policy.contains("script"), "{policy}");
    let tag = header("etag").to_owned();
    assert_eq!(tag.trim_matches('"'), artifact["sha256"].as_str().unwrap());
    let known = fetch(&server, uri, &[("if-none-match", &tag)]).await;
    assert_eq!((known.status, known.body), (304, json!("")));
    // The same content is the same artifact.
    assert_eq!(draw(&server, &[]).await["artifact"]["uri"], uri);
}

#[tokio::test]
async fn nothing_else_is_there() {
    let server = Server::with_database(&[]).await;
    let digits = "0".repeat(64);
    for name in [
        format!("{digits}.svg"),
        digits.clone(),
        format!("{digits}.png"),
        format!("{digits}0.svg"),
        "..%2F..%2Fetc%2Fpasswd.svg".into(),
        "%00.svg".into(),
    ] {
        let answer = server.get(&format!("/artifacts/{name}"), &[]).await;
        assert_eq!(answer.status, 404, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn it_takes_a_key_where_calls_do() {
    let gemini = gemini().await;
    let url = gemini.url();
    let (key, line) = new_key(&["--scope", "svg:generate", "--name", "painter"]).await;
    let (other, other_line) = new_key(&["--scope", "tools:call", "--name", "other"]).await;
    let keys = Keys::new(&[&line, &other_line]);
    let path = keys.path();
    let variables = [
        ("GEMINI_BASE_URL", url.as_str()),
        ("GEMINI_API_KEY", FakeGemini::KEY),
        ("MCP_API_KEYS_FILE", path.to_str().unwrap()),
    ];
    let server = Server::with_database(&variables).await;
    let (bearer, other) = (format!("Bearer {key}"), format!("Bearer {other}"));
    let output = draw(&server, &[("authorization", &bearer)]).await;
    let uri = output["artifact"]["uri"].as_str().unwrap();
    assert_eq!(fetch(&server, uri, &[]).await.status, 401);
    for key in [&bearer, &other] {
        let found = fetch(&server, uri, &[("authorization", key)]).await;
        assert_eq!(found.status, 200, "{found:?}");
    }
    // To draw one, its scope is needed.
    let params = json!({"name": "generate_svg", "arguments": {"prompt": "a circle"}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let answer = server
        .post("/message", &[("authorization", &other)], body.to_string())
        .await;
    assert_eq!(answer.status, 403, "{answer:?}");
}

#[tokio::test]
async fn links_begin_with_the_public_url_where_there_is_one() {
    let gemini = gemini().await;
    let url = gemini.url();
    let variables = [
        ("GEMINI_BASE_URL", url.as_str()),
        ("GEMINI_API_KEY", FakeGemini::KEY),
        ("MCP_PUBLIC_URL", "https://mcp.example.com/tools/"),
    ];
    let server = Server::with_database(&variables).await;
    let artifact = draw(&server, &[]).await["artifact"].clone();
    let path = format!("/artifacts/{}.svg", artifact["sha256"].as_str().unwrap());
    assert_eq!(
        artifact["uri"],
        format!("https://mcp.example.com/tools{path}")
    );
    assert_eq!(server.get(&path, &[]).await.status, 200);
}
