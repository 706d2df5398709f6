use std::sync::{Arc, Mutex};

use chrono::{SecondsFormat, TimeDelta};
use mcp_core::Clock;
use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};
use serde_json::{Value, json};

use crate::setting::{Setting, init_job, job, job_of, jobs_of};

/// The time so many milliseconds from now, RFC 3339.
fn in_millis(millis: i64) -> String {
    let at = Clock::System.now() + TimeDelta::milliseconds(millis);
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[tokio::test]
async fn a_retry_of_a_job_with_several_servers_calls_only_those_that_failed() {
    let setting = Setting::new(Kafka::shared().await, "several", 1).await;
    let server = StubServer::start(async |call| match (call.name(), call.attempt) {
        ("flaky", 1) => Reply::tool_error("launch-failed", true, "not now"),
        _ => Reply::initialized(&call),
    })
    .await;
    setting
        .submit(init_job("j", &["good", "flaky", "fine"]))
        .await;

    let _worker = setting.worker(&server).start().await;
    setting.wait_all_committed().await;

    let calls = server.calls();
    let mut names: Vec<_> = calls.iter().map(|seen| seen.call.name()).collect();
    assert_eq!(names.pop(), Some("flaky"), "the retry");
    names.sort_unstable();
    assert_eq!(names, ["fine", "flaky", "good"]);
    let keys: Vec<_> = calls
        .iter()
        .filter(|seen| seen.call.name() == "flaky")
        .map(|seen| seen.call.idempotency_key().map(str::to_owned))
        .collect();
    assert_eq!(keys[0], keys[1], "a retry has the key of the first attempt");
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn a_dead_letter_names_the_outcome_of_each_server() {
    let setting = Setting::new(Kafka::shared().await, "outcomes", 1).await;
    let server = StubServer::start(async |call| match call.name() {
        "denied" => Reply::tool_error("launch-denied", false, "not allowed"),
        "down" => Reply::tool_error("launch-failed", true, "exit 1"),
        _ => Reply::initialized(&call),
    })
    .await;
    setting
        .submit(init_job("j", &["good", "denied", "down"]))
        .await;

    let _worker = setting.worker(&server).start().await;
    setting.wait_all_committed().await;

    let letter = &setting.dead_letters(1).await[0];
    assert_eq!(
        letter.header("mcp.error.code").as_deref(),
        Some("launch-denied")
    );
    assert_eq!(
        letter.header("mcp.error.class").as_deref(),
        Some("permanent")
    );
    let detail: Value =
        serde_json::from_str(&letter.header("mcp.error.detail").expect("a detail")).expect("JSON");
    assert_eq!(detail["servers"]["good"]["status"], "succeeded");
    assert_eq!(detail["servers"]["denied"]["code"], "launch-denied");
    assert_eq!(detail["servers"]["denied"]["message"], "not allowed");
    assert_eq!(detail["servers"]["down"]["code"], "launch-failed");
    assert_eq!(server.calls().len(), 3, "the worst failure is permanent");
}

#[tokio::test]
async fn a_job_runs_neither_before_nor_after_its_time() {
    let setting = Setting::new(Kafka::shared().await, "times", 1).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let arrivals = seen.clone();
    let server = StubServer::start(move |call| {
        let arrival = (job_of(&call), Clock::System.now());
        arrivals
            .lock()
            .expect("no panic while it is held")
            .push(arrival);
        async { Reply::text("done") }
    })
    .await;
    let not_before = in_millis(2_000);
    let timed = |id: &str, field: &str, time: &str| {
        let payload = json!({"tool": "t"});
        let value = json!({"jobID": id, "jobType": "tool-call", "payload": payload, field: time});
        NewRecord::value(value.to_string())
    };
    setting
        .submit(timed("later", "notBefore", &not_before))
        .await;
    setting
        .submit(timed("expired", "expiresAt", &in_millis(-1_000)))
        .await;
    setting
        .submit(timed("in-time", "expiresAt", &in_millis(3_600_000)))
        .await;
    setting
        .submit(timed(
            "long-since",
            "notBefore",
            "2001-01-01T00:00:00+02:00",
        ))
        .await;

    let _worker = setting.worker(&server).start().await;
    setting.wait_all_committed().await;

    let seen = seen.lock().expect("no panic while it is held").clone();
    let mut jobs: Vec<_> = seen.iter().map(|(job, _)| job.as_str()).collect();
    assert_eq!(jobs.pop(), Some("later"));
    jobs.sort_unstable();
    assert_eq!(jobs, ["in-time", "long-since"]);
    let (_, arrived) = seen.last().expect("three calls");
    let due = chrono::DateTime::parse_from_rfc3339(&not_before).expect("a time");
    assert!(*arrived >= due, "{arrived} is before {due}");
    let letter = &setting.dead_letters(1).await[0];
    assert_eq!(
        letter.header("mcp.error.code").as_deref(),
        Some("job-expired")
    );
    assert_eq!(letter.header("mcp.job.id").as_deref(), Some("expired"));
    assert_eq!(letter.header("mcp.job.type").as_deref(), Some("tool-call"));
}

#[tokio::test]
async fn every_way_to_write_a_job_is_understood() {
    let setting = Setting::new(Kafka::shared().await, "forms", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let value = |value: Value| NewRecord::value(value.to_string());
    let payload = json!({"tool": "t", "arguments": {"n": 1}});
    let envelope = |id: &str| json!({"jobID": id, "jobType": "tool-call", "payload": payload});
    let event = |data: Value| {
        let mut event = json!({"specversion": "1.0", "id": "e", "source": "s", "type": "job"});
        event
            .as_object_mut()
            .expect("an object")
            .extend(data.as_object().cloned().expect("one"));
        value(event).header(
            "content-type",
            "application/cloudevents+json; charset=UTF-8",
        )
    };
    let base64 = "eyJqb2JJRCI6ImV2ZW50LWJhc2U2NCIsImpvYlR5cGUiOiJ0b29sLWNhbGwiLCJwYXlsb2FkIjoie1widG9vbFwiOlwidFwiLFwiYXJndW1lbnRzXCI6e1wiblwiOjF9fSJ9";
    setting
        .submit_all([
            job("text", "tool-call", &payload),
            value(envelope("object")),
            value(json!({"job_id": "alias", "job_type": "tool-call", "payload": payload, "priority": 7})),
            event(json!({"data": envelope("event")})),
            event(json!({"data": envelope("event-text").to_string()})),
            event(json!({"data_base64": base64})),
            value(envelope("event-binary"))
                .header("content-type", "application/json")
                .header("ce_specversion", "1.0")
                .header("ce_type", "job"),
        ])
        .await;

    let _worker = setting.worker(&server).start().await;
    setting.wait_all_committed().await;

    let calls = server.calls();
    let mut jobs = jobs_of(&calls);
    jobs.sort();
    assert_eq!(
        jobs,
        [
            "alias",
            "event",
            "event-base64",
            "event-binary",
            "event-text",
            "object",
            "text"
        ]
    );
    for seen in &calls {
        assert_eq!(
            (&*seen.call.tool, &seen.call.arguments),
            ("t", &json!({"n": 1}))
        );
    }
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn each_job_type_calls_its_tool() {
    let setting = Setting::new(Kafka::shared().await, "types", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let arguments = json!({"prompt": "a cat"});
    setting.submit(job("svg", "svg-generate", &arguments)).await;
    setting
        .submit(job("publish", "server-publish", &arguments))
        .await;

    let _worker = setting.worker(&server).start().await;
    setting.wait_all_committed().await;

    let mut tools: Vec<_> = server
        .calls()
        .into_iter()
        .map(|seen| (seen.call.tool, seen.call.arguments))
        .collect();
    tools.sort_by(|a, b| a.0.cmp(&b.0));
    let expected =
        ["generate_svg", "publish_server"].map(|tool| (tool.to_owned(), arguments.clone()));
    assert_eq!(tools, expected);
}
