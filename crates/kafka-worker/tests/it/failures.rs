use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_testkit::{Call, Kafka, Record, Reply, StubServer};
use serde_json::json;
use tokio::time::Instant;

use crate::setting::{Setting, job_of, jobs_of, tool_job};

/// The tool's name is the script: `status-503`, `rpc-32603`, `hang` and so on.
fn scripted(call: &Call) -> Reply {
    if let Some(status) = call.tool.strip_prefix("status-") {
        return Reply::status(status.parse().expect("a status"));
    }
    if let Some(code) = call.tool.strip_prefix("rpc-") {
        return Reply::rpc_error(-code.parse::<i64>().expect("a code"), "refused");
    }
    match &*call.tool {
        "tool-permanent" => Reply::tool_error("launch-denied", false, "not allowed"),
        "tool-transient" => Reply::tool_error("launch-failed", true, "not now"),
        "tool-structured" => Reply::Result(json!({
            "resultType": "complete",
            "isError": true,
            "content": [{"type": "text", "text": "not now"}],
            "structuredContent": {"code": "launch-failed", "retryable": true},
        })),
        "tool-plain" => Reply::plain_tool_error("it went wrong"),
        "hang" => Reply::Hang,
        "reset" => Reply::Reset,
        "not-mcp" => Reply::raw_json("[]"),
        other => panic!("the stub does not know {other}"),
    }
}

/// Runs one job for each script; the dead letter of each, and how often each was called.
async fn run(
    name: &str,
    scripts: &[&str],
    variables: &[(&str, &str)],
) -> (HashMap<String, Record>, HashMap<String, usize>) {
    let setting = Setting::new(Kafka::shared().await, name, 1).await;
    let server = StubServer::start(async |call| scripted(&call)).await;
    setting
        .submit_all(scripts.iter().map(|script| tool_job(script, script)))
        .await;
    let mut worker = setting
        .worker(&server)
        .var("WORKER_MAX_ATTEMPTS", 3)
        .var("WORKER_JOB_TIMEOUT_MS", 500);
    for (name, value) in variables {
        worker = worker.var(name, value);
    }
    let _worker = worker.start().await;

    let letters = setting.dead_letters(scripts.len()).await;
    setting.wait_all_committed().await;

    let id = |letter: &Record| letter.header("mcp.job.id").expect("an id");
    let letters: HashMap<_, _> = letters
        .into_iter()
        .map(|letter| (id(&letter), letter))
        .collect();
    let mut calls = HashMap::new();
    for job in jobs_of(&server.calls()) {
        *calls.entry(job).or_default() += 1;
    }
    (letters, calls)
}

fn verdict(letter: &Record) -> [String; 3] {
    [
        "mcp.error.code",
        "mcp.error.class",
        "__dlq.errors.delivery.count",
    ]
    .map(|name| letter.header(name).unwrap_or_default())
}

#[tokio::test]
async fn a_permanent_failure_is_dead_lettered_after_one_call() {
    let expected = [
        ("status-413", "request-rejected"),
        ("status-415", "request-rejected"),
        ("status-422", "request-rejected"),
        ("rpc-32602", "invalid-arguments"),
        ("rpc-32600", "request-rejected"),
        ("rpc-32601", "request-rejected"),
        ("tool-permanent", "launch-denied"),
        ("tool-plain", "tool-failed"),
    ];

    let (letters, calls) = run("permanent", &expected.map(|(script, _)| script), &[]).await;

    for (script, code) in expected {
        assert_eq!(
            verdict(&letters[script]),
            [code, "permanent", "1"],
            "{script}"
        );
        assert_eq!(calls[script], 1, "{script}");
    }
}

#[tokio::test]
async fn a_refusal_is_dead_lettered_when_it_comes_twice_and_no_other_request_is_refused() {
    let expected = [
        ("status-401", "unauthorized"),
        ("status-403", "forbidden"),
        ("status-404", "endpoint-not-found"),
    ];

    let (letters, calls) = run("refusals", &expected.map(|(script, _)| script), &[]).await;

    for (script, code) in expected {
        // The first call was refused, so it has done nothing and does not count.
        let verdict = verdict(&letters[script]);
        assert_eq!(verdict, [code, "permanent", "1"], "{script}");
        assert_eq!(calls[script], 2, "{script}");
    }
}

#[tokio::test]
async fn a_400_that_says_nothing_is_asked_once_more_in_the_older_protocol() {
    let (letters, calls) = run("bad-request", &["status-400"], &[]).await;

    let [code, class, attempts] = verdict(&letters["status-400"]);
    assert_eq!([&*code, &*class], ["request-rejected", "permanent"]);
    assert_eq!((&*attempts, calls["status-400"]), ("1", 2));
}

/// Fewer than the breaker takes for an outage of the server.
async fn exhausted<const N: usize>(name: &str, expected: [(&str, &str); N]) {
    let (letters, calls) = run(name, &expected.map(|(script, _)| script), &[]).await;

    for (script, code) in expected {
        let verdict = verdict(&letters[script]);
        assert_eq!(verdict, [code, "exhausted", "3"], "{script}");
        assert_eq!(calls[script], 3, "{script}");
    }
}

#[tokio::test]
async fn a_transient_status_is_dead_lettered_once_the_attempts_are_used_up() {
    exhausted(
        "transient",
        [
            ("status-500", "server-error"),
            ("status-408", "try-again"),
            ("status-425", "try-again"),
            ("status-429", "rate-limited"),
            ("status-502", "server-unavailable"),
            ("status-503", "server-unavailable"),
            ("status-504", "server-unavailable"),
        ],
    )
    .await;
}

#[tokio::test]
async fn any_other_transient_failure_is_dead_lettered_once_the_attempts_are_used_up() {
    exhausted(
        "transient-other",
        [
            ("rpc-32603", "server-error"),
            ("tool-transient", "launch-failed"),
            ("tool-structured", "launch-failed"),
            ("not-mcp", "invalid-answer"),
            ("hang", "call-timeout"),
            ("reset", "connection-lost"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_tool_error_that_says_nothing_is_retried_on_request() {
    let variables = [("WORKER_TOOL_ERROR", "retry")];

    let (letters, calls) = run("tool-error", &["tool-plain", "tool-permanent"], &variables).await;

    assert_eq!(
        verdict(&letters["tool-plain"]),
        ["tool-unavailable", "exhausted", "3"]
    );
    assert_eq!(calls["tool-plain"], 3);
    assert_eq!(calls["tool-permanent"], 1);
}

#[tokio::test]
async fn what_all_attempts_may_take_together_is_bounded() {
    let variables = [
        ("WORKER_MAX_ATTEMPTS", "1000"),
        ("WORKER_JOB_DEADLINE_MS", "400"),
        ("WORKER_JOB_TIMEOUT_MS", "300"),
    ];

    let (letters, _) = run("deadline", &["status-500"], &variables).await;

    // The last attempt may be the one that the deadline cuts short.
    let [code, class, _] = verdict(&letters["status-500"]);
    assert!(["server-error", "call-timeout"].contains(&&*code), "{code}");
    assert_eq!(class, "exhausted");
}

#[tokio::test]
async fn the_wait_that_the_server_asks_for_is_kept() {
    let setting = Setting::new(Kafka::shared().await, "retry-after", 1).await;
    let arrivals: Arc<Mutex<HashMap<String, Vec<Instant>>>> = Arc::default();
    let seen = arrivals.clone();
    let server = StubServer::start(move |call| {
        let mut seen = seen.lock().expect("no panic while it is held");
        seen.entry(job_of(&call)).or_default().push(Instant::now());
        let asked = json!({"code": "launch-busy", "retryable": true, "retryAfterMs": 700});
        let reply = match (call.attempt, &*call.tool) {
            (1, "busy") => Reply::tool_error_with(asked, "busy"),
            (1, tool) => Reply::status(tool.parse().expect("a status")).header("Retry-After", "1"),
            _ => Reply::text("done"),
        };
        async { reply }
    })
    .await;
    setting
        .submit_all(["503", "429", "busy"].map(|tool| tool_job(tool, tool)))
        .await;

    let _worker = setting.worker(&server).start().await;
    setting.wait_all_committed().await;

    let arrivals = arrivals.lock().expect("no panic while it is held").clone();
    for (job, at_least) in [("503", 1_000), ("429", 1_000), ("busy", 700)] {
        let [first, second] = arrivals[job][..] else {
            panic!("{job} was called {} times", arrivals[job].len());
        };
        assert!(second - first >= Duration::from_millis(at_least), "{job}");
    }
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}
