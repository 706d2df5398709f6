//! What is left when calls are given up, and when the server ends, in whatever way.

use std::time::Duration;

use mcp_testkit::eventually;
use serde_json::json;

use crate::replica::{self, Events, Replica, SseClient};
use crate::server::{PATIENCE, Server, call};

/// Never answers, ignores SIGTERM, and has a child that left its session.
const STUBBORN: &str = "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' MARK & \
                        while :; do sleep 1; done";

const POLICY: &str = "limits.handshake_ms = 60000\n[[command]]\nname = \"sh\"\n";

/// A command line part that no other test has.
fn mark() -> String {
    let file = tempfile::NamedTempFile::with_prefix("drain-").unwrap();
    file.path()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

fn processes(mark: &str) -> usize {
    let all = std::fs::read_dir("/proc").unwrap();
    all.filter(|entry| {
        let path = entry.as_ref().unwrap().path().join("cmdline");
        let arguments = std::fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(mark)
    })
    .count()
}

async fn until(mark: &str, what: &str, wanted: impl Fn(usize) -> bool) {
    eventually(PATIENCE, async || match processes(mark) {
        count if wanted(count) => Ok(()),
        count => Err(format!("{what}: {count} processes")),
    })
    .await;
}

/// A call of the stubborn server, under way.
async fn under_way(server: &Server, mark: &str) -> tokio::task::JoinHandle<reqwest::Result<u16>> {
    let script = STUBBORN.replace("MARK", mark);
    let request = reqwest::Client::new()
        .post(format!("{}/message", server.url))
        .header("content-type", "application/json")
        .body(call(
            json!({"name": "x", "command": "sh", "args": ["-c", script, mark]}),
        ));
    let call =
        tokio::spawn(async move { request.send().await.map(|answer| answer.status().as_u16()) });
    until(mark, "it starts", |count| count >= 2).await;
    call
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_what_its_call_started() {
    let server = Server::with_policy(POLICY).await;
    let mark = mark();
    let call = under_way(&server, &mark).await;
    call.abort();
    until(&mark, "all of it ends", |count| count == 0).await;
}

#[tokio::test]
async fn calls_under_way_finish_before_the_server_ends() {
    let mut server = Server::with_policy("[[command]]\nname = \"sh\"\n").await;
    let mark = mark();
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    // Ends, without a handshake, when the file is there: an answer with an error is an answer.
    let script = format!(
        "until [ -e {} ]; do sleep 0.05; done; echo {{}}",
        go.display()
    );
    let arguments = json!({"name": "x", "command": "sh", "args": ["-c", script, &mark]});
    let request = reqwest::Client::new()
        .post(format!("{}/message", server.url))
        .header("content-type", "application/json")
        .body(call(arguments));
    let call = tokio::spawn(async move { request.send().await.unwrap().status().as_u16() });
    until(&mark, "it starts", |count| count >= 1).await;
    server.process.terminate();
    server.process.wait_for_line("stopping", PATIENCE).await;
    let refused = eventually(PATIENCE, async || {
        match reqwest::get(format!("{}/health", server.url)).await {
            Err(error) => Ok(error),
            Ok(answer) => Err(format!("it still takes connections: {}", answer.status())),
        }
    })
    .await;
    assert!(refused.is_connect(), "{refused}");
    std::fs::write(&go, "").unwrap();
    assert_eq!(call.await.unwrap(), 200);
    assert!(server.process.wait_exit(PATIENCE).await.success());
    assert_eq!(processes(&mark), 0);
}

#[tokio::test]
async fn calls_that_outlast_the_drain_are_cancelled_and_leave_nothing() {
    let mut server = Server::with(POLICY, &[("MCP_DRAIN_MS", "300")]).await;
    let mark = mark();
    let call = under_way(&server, &mark).await;
    server.process.terminate();
    assert_eq!(call.await.unwrap().unwrap(), 500);
    assert!(
        server
            .process
            .wait_exit(Duration::from_secs(20))
            .await
            .success()
    );
    until(&mark, "all of it ends", |count| count == 0).await;
}

#[tokio::test]
async fn calls_on_event_streams_that_outlast_the_drain_are_told_so_and_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    let variables = [
        ("MCP_DRAIN_MS", "300"),
        ("MCP_AUDIT_LOG", audit.to_str().unwrap()),
    ];
    let replica = Replica::start(&variables).await;
    let asks = replica::call("test_elicitation", json!({"message": "Go?"}));
    let mut spoken = Events::of(replica.request("/mcp", &asks)).await;
    let mut client = SseClient::open(&replica).await;
    client.initialize(&replica).await;
    assert_eq!(client.post(&replica, &asks).await.status, 202);
    for events in [&mut spoken, &mut client.events] {
        assert_eq!(events.must().await["method"], "elicitation/create");
    }
    let stopped = tokio::spawn(replica.stop());
    for events in [&mut spoken, &mut client.events] {
        let told = events.must().await;
        let message = told["error"]["message"].as_str().unwrap();
        assert!(message.contains("stopping"), "{told}");
        assert!(events.next().await.is_none());
    }
    stopped.await.unwrap();
    let lines = std::fs::read_to_string(&audit).unwrap();
    assert_eq!(lines.matches("\"cancelled\"").count(), 2, "{lines}");
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_nothing() {
    let mut server = Server::with_policy(POLICY).await;
    let mark = mark();
    let call = under_way(&server, &mark).await;
    server.process.kill9();
    assert!(call.await.unwrap().is_err());
    until(&mark, "all of it ends", |count| count == 0).await;
}
