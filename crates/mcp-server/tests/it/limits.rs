//! Where the server stops taking more.

use std::time::Duration;

use mcp_testkit::eventually;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::counter::{Counter, CountingServer, runs_of};
use crate::server::{Answer, PATIENCE, Server, answer, error_of};

/// A call that is refused for now.
fn assert_later(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    let wait = answer.headers["retry-after"].to_str().unwrap();
    assert!(wait.parse::<u32>().unwrap() >= 1, "{wait}");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.body["error"]["code"], -32000);
}

#[tokio::test]
async fn calls_over_the_rate_are_told_when_to_come_again() {
    let tool = Counter::open();
    // One an hour or so would be no test of the burst; the rate is whole calls a second.
    let limits = [("MCP_KEY_RATE", "1"), ("MCP_KEY_BURST", "3")];
    let replica = CountingServer::start(&tool, &limits).await;
    let calls = (0..20).map(|_| replica.call(None, json!({})));
    let answers = futures::future::join_all(calls).await;
    let (taken, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert!(
        taken.len() >= 3 && refused.len() >= 3,
        "{} taken",
        taken.len()
    );
    for answer in refused {
        assert_later(answer, 429);
    }
    eventually(PATIENCE, async || {
        match replica.call(None, json!({})).await.status {
            200 => Ok(()),
            status => Err(format!("{status}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_has_only_so_many_calls_under_way() {
    let tool = Counter::closed();
    let replica = CountingServer::start(&tool, &[("MCP_KEY_CONCURRENCY", "2")]).await;
    let under_way = [replica.calling("a"), replica.calling("b")];
    tool.until_begun(2).await;
    assert_later(&replica.call(None, json!({})).await, 429);
    tool.open_for(100);
    for call in under_way {
        runs_of(&call.await.unwrap());
    }
    assert_eq!(replica.count("c").await, 3);
}

#[tokio::test]
async fn an_overloaded_server_says_so_at_once_and_stays_healthy() {
    let tool = Counter::closed();
    let replica = CountingServer::start(&tool, &[("MCP_MAX_IN_FLIGHT", "2")]).await;
    let under_way = [replica.calling("a"), replica.calling("b")];
    tool.until_begun(2).await;
    assert_later(&replica.call(None, json!({})).await, 503);
    let health = replica.url.replace("/message", "/ready");
    assert_eq!(reqwest::get(health).await.unwrap().status(), 200);
    // A call that is given up makes room, too.
    under_way[0].abort();
    tool.open_for(100);
    eventually(PATIENCE, async || {
        match replica.call(None, json!({})).await.status {
            200 => Ok(()),
            status => Err(format!("{status}")),
        }
    })
    .await;
}

#[tokio::test]
async fn bodies_are_bounded_one_by_one_and_together() {
    let tool = Counter::closed();
    let limits = [
        ("MCP_MAX_BODY_BYTES", "4096"),
        ("MCP_MAX_BODY_BYTES_IN_FLIGHT", "6000"),
    ];
    let replica = CountingServer::start(&tool, &limits).await;
    let padded = |bytes: usize| json!({"padding": "x".repeat(bytes)});
    let refused = replica.call(None, padded(4_096)).await;
    assert_eq!(refused.status, 413, "{refused:?}");
    let request = replica.request(None, padded(3_500));
    let first = tokio::spawn(answer(request));
    tool.until_begun(1).await;
    assert_later(&replica.call(None, padded(3_500)).await, 503);
    tool.open_for(100);
    runs_of(&first.await.unwrap());
    runs_of(&replica.call(None, padded(3_500)).await);
}

#[tokio::test]
async fn connections_are_bounded() {
    let tool = Counter::open();
    let replica = CountingServer::start(&tool, &[("MCP_MAX_CONNECTIONS", "2")]).await;
    let address = replica.url.split('/').nth(2).unwrap();
    let open = [
        TcpStream::connect(address).await.unwrap(),
        TcpStream::connect(address).await.unwrap(),
    ];
    let told = eventually(PATIENCE, async || {
        let mut stream = TcpStream::connect(address)
            .await
            .map_err(|error| error.to_string())?;
        let mut told = String::new();
        let read = stream.read_to_string(&mut told).await;
        read.map(|_| told).map_err(|error| error.to_string())
    })
    .await;
    assert!(
        told.starts_with("HTTP/1.1 503 ") && told.contains("Retry-After"),
        "{told}"
    );
    drop(open);
    eventually(PATIENCE, async || {
        match replica.request(None, json!({})).send().await {
            Ok(answer) if answer.status() == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn an_old_connection_ends_with_an_answer() {
    let tool = Counter::open();
    let age = [("MCP_CONNECTION_MAX_AGE_MS", "200")];
    let replica = CountingServer::start(&tool, &age).await;
    let client = reqwest::Client::new();
    let header = async || {
        let request = replica.request(None, json!({})).build().unwrap();
        let answer = client.execute(request).await.unwrap();
        let header = answer.headers().get("connection").cloned();
        // Read to its end, so that the connection can be used again.
        assert!(answer.text().await.unwrap().contains("runs"));
        header
    };
    assert_eq!(header().await, None);
    // A quarter more than its age, at most.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(header().await.unwrap(), "close");
    assert_eq!(header().await, None, "on a new connection");
}

#[tokio::test]
async fn a_tool_has_a_time_of_its_own() {
    let tool = Counter::closed();
    let replica = CountingServer::start(&tool, &[("MCP_TOOL_TIMEOUT_MS", "60000,count=100")]).await;
    let late = replica.call(Some("k"), json!({})).await;
    let error = error_of(&late.body["result"]);
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("call-timeout"), &json!(true))
    );
    tool.open_for(100);
    assert_eq!(replica.count("k").await, 2, "it runs again");
}

#[tokio::test]
async fn a_time_for_a_tool_that_there_is_not_stops_the_start() {
    let mut process = Server::builder()
        .env("PORT", 0)
        .env("MCP_TOOL_TIMEOUT_MS", "server_initialise=1000")
        .start();
    assert_eq!(process.wait_exit(PATIENCE).await.code(), Some(1));
    let line = process.wait_for_line("MCP_TOOL_TIMEOUT_MS", PATIENCE).await;
    assert!(line.contains("server_initialize"), "{line}");
}
