//! `publish_server`, over HTTP.

use mcp_testkit::{Postgres, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{PATIENCE, Server, error_of, sentence};

const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";

fn server_json(version: &str, text: &str) -> Value {
    json!({"$schema": SCHEMA, "name": "com.example/weather", "version": version, "description": text})
}

async fn publish(server: &Server, arguments: Value) -> Value {
    let params = json!({"name": "publish_server", "arguments": arguments});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let answer = server.post("/message", &[], body.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["result"].clone()
}

fn in_a_file(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("registry.db").display())
}

#[tokio::test]
async fn a_server_is_published_once_and_stays() {
    let folder = TempDir::new().unwrap();
    let url = in_a_file(&folder);
    let server = Server::with("", &[("DATABASE_URL", &url)]).await;
    let tool = json!({"name": "forecast", "inputSchema": {"type": "object"}});
    let arguments = json!({"server": server_json("1.0.0", "Weather"), "tools": [tool]});

    let first = publish(&server, arguments.clone()).await;
    let result = &first["structuredContent"];
    assert_eq!(first["isError"], false, "{first}");
    assert_eq!(result["name"], "com.example/weather");
    assert_eq!(result["version"], "1.0.0");
    assert_eq!(result["status"], "published");
    assert_eq!(result["isLatest"], true);
    assert_eq!(result["tools"], 1);
    assert_eq!(result["sha256"].as_str().unwrap().len(), 64);

    let again = publish(&server, arguments).await;
    assert_eq!(again["structuredContent"]["status"], "unchanged");
    for field in ["publishedAt", "sha256"] {
        assert_eq!(again["structuredContent"][field], result[field]);
    }

    let other = publish(&server, json!({"server": server_json("1.0.0", "Snow")})).await;
    let error = error_of(&other);
    assert_eq!(error["code"], "version-conflict");
    assert_eq!(error["retryable"], false);
    assert_eq!(error["detail"]["publishedSha256"], result["sha256"]);

    // It outlives the process.
    drop(server);
    let server = Server::with("", &[("DATABASE_URL", &url)]).await;
    let after = publish(&server, json!({"server": server_json("0.9.0", "Weather")})).await;
    assert_eq!(after["structuredContent"]["status"], "published");
    assert_eq!(after["structuredContent"]["isLatest"], false);

    let metrics = reqwest::get(format!("{}/metrics", server.url))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        metrics.contains("mcp_server_publications_total{outcome=\"published\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("db_operation_name=\"publish\""),
        "{metrics}"
    );
    assert!(metrics.contains("mcp_store_up 1"), "{metrics}");
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once_with_its_place() {
    let folder = TempDir::new().unwrap();
    let url = in_a_file(&folder);
    let server = Server::with("", &[("DATABASE_URL", &url)]).await;
    let mut document = server_json("^1.0", "");
    document["remotes"] = json!([{"type": "sse", "url": "http://localhost/"}]);
    let tools = json!([{"name": "a b", "inputSchema": {"type": "object", "required": 7}}]);
    let refused = publish(&server, json!({"server": document, "tools": tools})).await;
    let error = error_of(&refused);
    assert_eq!(error["code"], "invalid-arguments");
    assert_eq!(error["retryable"], false);
    let issues = error["detail"]["issues"].as_array().unwrap();
    let pointers: Vec<_> = issues
        .iter()
        .map(|issue| issue["pointer"].as_str().unwrap())
        .collect();
    for pointer in [
        "/server/version",
        "/server/description",
        "/server/remotes/0/url",
        "/tools/0/name",
        "/tools/0/inputSchema/required",
    ] {
        assert!(pointers.contains(&pointer), "{pointer}: {issues:#?}");
        assert!(sentence(&refused).contains(pointer), "{refused}");
    }
}

#[tokio::test]
async fn the_tool_says_what_it_takes_and_gives() {
    let server = Server::start().await;
    let answer = server.modern("tools/list", json!({})).await;
    let tools = answer.body["result"]["tools"].as_array().unwrap();
    let tool = tools
        .iter()
        .find(|tool| tool["name"] == "publish_server")
        .unwrap();
    assert_eq!(tool["inputSchema"]["required"], json!(["server"]));
    assert_eq!(
        tool["outputSchema"]["properties"]["isLatest"]["type"],
        "boolean"
    );
    let annotations = &tool["annotations"];
    for (hint, value) in [
        ("idempotentHint", true),
        ("destructiveHint", false),
        ("openWorldHint", false),
        ("readOnlyHint", false),
    ] {
        assert_eq!(annotations[hint], value, "{hint}");
    }
}

#[tokio::test]
async fn without_a_place_the_server_serves_and_the_tool_says_what_to_set() {
    let server = Server::start().await;
    let refused = publish(&server, json!({"server": server_json("1.0.0", "Weather")})).await;
    assert!(sentence(&refused).contains("DATABASE_URL"), "{refused}");
    assert_eq!(error_of(&refused)["code"], "tool-unavailable");
}

#[tokio::test]
async fn a_place_that_can_not_be_used_stops_the_start() {
    let postgres = Postgres::shared().await;
    let no_database = postgres.url("no_such_database");
    for (url, part) in [
        (
            "sqlite:/proc/registry.db",
            "/proc/registry.db can't be written",
        ),
        (&*no_database, "does not exist"),
    ] {
        let mut process = Server::builder()
            .env("PORT", 0)
            .env("DATABASE_URL", url)
            .start();
        let status = process.wait_exit(PATIENCE).await;
        let output = process.output().join("\n");
        assert_eq!(status.code(), Some(1), "{output}");
        assert!(
            output.contains("mcp-server: DATABASE_URL") && output.contains(part),
            "{output}"
        );
        assert!(!output.contains(Postgres::PASSWORD), "{output}");
    }
}

#[tokio::test]
async fn while_the_database_is_away_the_server_is_ready_and_says_so() {
    let mut postgres = Postgres::start().await;
    let url = postgres.new_database().await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, &url).unwrap();
    let file = file.display().to_string();
    let server = Server::with("", &[("DATABASE_URL_FILE", &file)]).await;
    let arguments = json!({"server": server_json("1.0.0", "Weather")});
    publish(&server, arguments.clone()).await;
    postgres.stop().await;

    let refused = publish(&server, arguments.clone()).await;
    let error = error_of(&refused);
    assert_eq!(error["code"], "tool-unavailable");
    assert_eq!(error["retryable"], true);
    assert_eq!(error["retryAfterMs"], 2_000);
    let ready = format!("{}/ready", server.url);
    let notice = async |is_there: bool| {
        eventually(PATIENCE, async || {
            let answer = reqwest::get(&ready).await.unwrap();
            assert_eq!(answer.status(), 200);
            let body = answer.json::<Value>().await.unwrap();
            if body["notices"]["database"].is_string() == is_there {
                return Ok(body);
            }
            Err(body)
        })
        .await
    };
    let body = notice(true).await;
    postgres.start_again().await;
    notice(false).await;
    let again = publish(&server, arguments).await;
    assert_eq!(again["structuredContent"]["status"], "unchanged", "{again}");

    let all = format!("{refused} {body} {}", server.process.output().join("\n"));
    assert!(all.contains("the database answers again"), "{all}");
    assert!(!all.contains(Postgres::PASSWORD), "{all}");
}
