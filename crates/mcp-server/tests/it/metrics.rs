//! What `/metrics` says, and that callers can't make it grow.

use crate::server::{PATIENCE, Server};

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
    assert!(of_mcp[0].contains("\"_OTHER\"") && of_mcp[0].ends_with(" 3"), "{counts:?}");
}
