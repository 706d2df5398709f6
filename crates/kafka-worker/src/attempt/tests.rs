use std::sync::Arc;

use mcp_client::ServerUrl;
use mcp_core::Class;
use mcp_testkit::{Reply, StubServer};
use rdkafka::Timestamp;
use rdkafka::message::OwnedMessage;

use super::*;
use crate::engine::ownership::Ownership;

fn job() -> Job {
    job_of(None)
}

fn job_of(value: Option<Value>) -> Job {
    let value = value.map(|value| value.to_string().into());
    let message = OwnedMessage::new(value, None, "t".into(), Timestamp::NotAvailable, 0, 0, None);
    Job::new(0, message, Arc::new(Ownership::new("t".into(), 0, 1)))
}

fn step(id: &str, tool: &str, arguments: Value) -> Step {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    Step {
        id: id.into(),
        tool: tool.into(),
        arguments,
    }
}

#[test]
fn a_job_with_several_servers_fails_with_the_worst_and_names_each_outcome() {
    let plan = ["a", "b", "c"].map(|id| step(id, "server_initialize", json!({})));
    let mut job = job();
    job.steps.insert("a".into(), Ok(json!(1)));
    job.steps.insert(
        "b".into(),
        Err(Failure::new(ErrorCode::LaunchFailed, "exit 1")),
    );
    job.steps
        .insert("c".into(), Err(Failure::new(ErrorCode::LaunchDenied, "no")));
    let failure = sum_up(&plan, &mut job).unwrap_err();
    assert_eq!(
        (failure.code, failure.class()),
        (ErrorCode::LaunchDenied, Class::Permanent)
    );
    assert_eq!(failure.message, "2 of 3 servers failed; the worst: no");
    let servers = &failure.detail.unwrap()["servers"];
    assert_eq!(servers["a"]["status"], "succeeded");
    assert_eq!(servers["b"]["code"], "launch-failed");
    assert_eq!(servers["c"]["code"], "launch-denied");
}

#[test]
fn one_tool_answers_for_itself_and_servers_by_name() {
    let mut job = job();
    job.steps.insert("echo".into(), Ok(json!({"n": 1})));
    let single = [step("echo", "echo", json!({}))];
    assert_eq!(sum_up(&single, &mut job).unwrap(), json!({"n": 1}));
    job.steps.insert("echo".into(), Ok(json!({"n": 1})));
    let server = [step("echo", "server_initialize", json!({}))];
    assert_eq!(
        sum_up(&server, &mut job).unwrap(),
        json!({"echo": {"n": 1}})
    );
}

#[tokio::test]
async fn the_answers_of_a_job_that_waits_are_kept_only_where_they_are_read() {
    let server = StubServer::start(async |call| match call.name() {
        "up" => Reply::structured(json!({"tools": "many"})),
        _ => Reply::tool_error("busy", true, "later"),
    })
    .await;
    let client = McpClient::builder(ServerUrl::parse(&server.url()).unwrap())
        .build()
        .unwrap();
    let timeout = Duration::from_secs(60);
    let servers = json!({"up": {"command": "run"}, "down": {"command": "run"}});
    for (with_answers, kept) in [(false, Value::Null), (true, json!({"tools": "many"}))] {
        let payload = json!({"mcpServers": servers});
        let value = json!({"jobID": "a", "jobType": "server-init", "payload": payload});
        let mut job = job_of(Some(value));
        let ends = Instant::now() + timeout;
        let attempt = make(&client, &mut job, timeout, ends, &[], with_answers).await;
        assert!(attempt.result.is_err());
        assert!(job.steps["down"].is_err());
        assert_eq!(job.steps["up"].as_ref().unwrap(), &kept);
    }
}
