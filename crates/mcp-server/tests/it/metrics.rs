//! What `/metrics` says, and that callers can't make it grow.

use mcp_testkit::{Redis, eventually};
use serde_json::json;

use crate::server::{PATIENCE, Server, call};

/// The lines of `/metrics` that contain `part`.
async fn lines(server: &Server, part: &str) -> Vec<String> {
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await;
    let metrics = metrics.unwrap().text().await.unwrap();
    let lines = metrics.lines().filter(|line| line.contains(part));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn methods_that_a_caller_makes_up_share_one_label() {
    let server = Server::start().await;
    for method in ["MADEUP1", "MADEUP2", "PROPFIND"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = reqwest::Client::new().request(method, format!("{}/mcp", server.url));
        let answer = request.timeout(PATIENCE).send().await.unwrap();
        assert_eq!(answer.status(), 405);
    }
    let counts = lines(&server, "http_server_request_duration_seconds_count").await;
    let of_mcp = |line: &&String| line.contains("405");
    let of_mcp: Vec<_> = counts.iter().filter(of_mcp).collect();
    assert_eq!(of_mcp.len(), 1, "{counts:?}");
    assert!(
        of_mcp[0].contains("\"_OTHER\"") && of_mcp[0].ends_with(" 3"),
        "{counts:?}"
    );
}

#[tokio::test]
async fn what_may_happen_has_a_number_before_it_happens() {
    let redis = Redis::start().await;
    let server = Server::with("", &[("REDIS_URL", &redis.url())]).await;
    for (part, value) in [
        ("mcp_server_audit_lost_total ", "0"),
        ("mcp_server_refused_total{reason=\"overloaded\"}", "0"),
        ("mcp_server_refused_total{reason=\"too-many-streams\"}", "0"),
        ("mcp_server_redis_up ", "1"),
    ] {
        eventually(PATIENCE, async || {
            let found = lines(&server, part).await;
            let is_so = found
                .iter()
                .any(|line| line.ends_with(&format!(" {value}")));
            is_so.then_some(()).ok_or(format!("{part}: {found:?}"))
        })
        .await;
    }
}

#[tokio::test]
async fn redis_is_known_to_be_away_though_nobody_needs_it() {
    let mut redis = Redis::start().await;
    let server = Server::with("", &[("REDIS_URL", &redis.url())]).await;
    for up in ["1", "0", "1"] {
        eventually(PATIENCE, async || {
            let found = lines(&server, "mcp_server_redis_up ").await;
            let is_so = found.iter().any(|line| line.ends_with(up));
            is_so.then_some(()).ok_or(format!("{found:?}"))
        })
        .await;
        match up {
            "1" => redis.kill(),
            _ => redis.restart().await,
        }
    }
}

#[tokio::test]
async fn audit_lines_that_cannot_be_written_are_counted() {
    let server = Server::with("", &[("MCP_AUDIT_LOG", "/dev/full")]).await;
    for _ in 0..3 {
        let answer = server.post("/mcp", &[], call(json!({"name": "x", "command": "sh"})));
        assert_eq!(answer.await.status, 200);
    }
    eventually(PATIENCE, async || {
        let found = lines(&server, "mcp_server_audit_lost_total ").await;
        let is_so = found.iter().any(|line| line.ends_with(" 3"));
        is_so.then_some(()).ok_or(format!("{found:?}"))
    })
    .await;
}
