use std::sync::Arc;

use mcp_core::Class;
use rdkafka::Timestamp;
use rdkafka::message::OwnedMessage;

use super::*;
use crate::engine::ownership::Ownership;

fn job() -> Job {
    let message = OwnedMessage::new(None, None, "t".into(), Timestamp::NotAvailable, 0, 0, None);
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
