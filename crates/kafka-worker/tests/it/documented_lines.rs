//! The log lines in `docs/operations.md` are those that a worker writes.

use std::collections::BTreeSet;
use std::fs;

use mcp_testkit::{Kafka, Reply, StubServer, fetched};
use serde_json::Value;

use crate::setting::{Setting, tool_job, wait_answered};
use crate::worker::SOON;

/// A line without what differs from run to run: its time, names in quotes, numbers.
fn shape(line: &str) -> String {
    if let Ok(Value::Object(fields)) = serde_json::from_str(line) {
        let text = |name: &str| shape(fields[name].as_str().unwrap_or_default());
        let names: Vec<_> = fields.keys().cloned().collect();
        let (level, message) = (&fields["level"], text("message"));
        return format!("{level} {} {message} {}", fields["target"], names.join(","));
    }
    let line = match line.split_once(' ') {
        Some((time, rest)) if time.ends_with('Z') => rest,
        _ => line,
    };
    let mut shape = String::new();
    for (number, part) in line.split('"').enumerate() {
        match number % 2 {
            // Of an error in quotes only the beginning is ours.
            1 => shape.push_str("\"…\""),
            _ => shape.push_str(part),
        }
    }
    let mut digits = false;
    shape.retain(|c| {
        let again = c.is_ascii_digit() && digits;
        digits = c.is_ascii_digit();
        !again
    });
    shape.replace(|c: char| c.is_ascii_digit(), "0")
}

/// The lines of the blocks that are marked as `log`.
fn documented() -> Vec<String> {
    let page = fetched::repository().join("docs/operations.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let mut inside = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(mark) => inside = !inside && mark == "log",
            None if inside => lines.push(line.to_owned()),
            None => {}
        }
    }
    lines
}

/// What a worker prints while a job succeeds, one is tried again, one fails for good, one too often; while the server is
/// down; and when another worker takes its place.
async fn run(format: &str) -> Vec<String> {
    let setting = Setting::new(Kafka::shared().await, "documented", 1).await;
    let mut server = StubServer::start(async |call| match (&*call.tool, call.attempt) {
        ("good", _) | ("transient", 2..) => Reply::text("done"),
        ("permanent", _) => Reply::tool_error("command-not-allowed", false, "not allowed"),
        _ => Reply::status(503),
    })
    .await;
    for tool in ["good", "transient", "permanent", "exhausted"] {
        setting.submit(tool_job(&format!("job-{tool}"), tool)).await;
    }
    let build = || {
        setting
            .worker(&server)
            .without("RUST_LOG")
            .var("LOG_FORMAT", format)
            .var("WORKER_MAX_ATTEMPTS", 3)
            .var("KAFKA_PROPERTY_GROUP_INSTANCE_ID", &setting.group)
    };
    let (build, successor) = (build(), build());
    let mut worker = build.start().await;
    setting.dead_letters(2).await;
    setting.wait_all_committed().await;
    server.stop().await;
    setting.submit(tool_job("job-good-2", "good")).await;
    worker.wait_not_ready("server", "down").await;
    server.start_again().await;
    wait_answered(&server, &["job-good-2".to_owned()], SOON).await;
    setting.wait_all_committed().await;
    let mut successor = successor.start_ready().await;
    let status = worker.process.wait_exit(SOON).await;
    assert_eq!(status.code(), Some(1));
    worker.process.wait_for_line("kafka-worker: ", SOON).await;
    successor.leave().await;
    [worker.process.output(), successor.process.output()].concat()
}

#[tokio::test]
async fn the_lines_in_the_operators_page_are_those_of_a_real_worker() {
    let printed = [run("text").await, run("json").await].concat();
    let shapes: BTreeSet<_> = printed.iter().map(|line| shape(line)).collect();
    let documented = documented();
    assert!(!documented.is_empty());
    let gone: Vec<_> = documented
        .iter()
        .filter(|line| !shapes.contains(&shape(line)))
        .collect();
    assert!(
        gone.is_empty(),
        "no worker prints (any more):\n{gone:#?}\nbut:\n{}",
        printed.join("\n")
    );
}
