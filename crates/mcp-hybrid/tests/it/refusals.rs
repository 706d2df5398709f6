//! Jobs that the real server refuses, and what their dead letters say.

use mcp_testkit::NewRecord;
use serde_json::{Value, json};

use crate::pair::Pair;

/// The example message of the contract.
const EXAMPLE: &str = r#"{"jobID":"job-123","jobType":"server-init","payload":"{\"mcpServers\":{\"MariaDB_Server\":{\"command\":\"uv\",\"args\":[\"--directory\",\"path/to/server\",\"run\",\"server.py\"],\"envFile\":\"path/to/.env\"}}}"}"#;
const SECRET: &str = "hunter2-is-a-secret";

#[tokio::test]
async fn what_the_policy_does_not_allow_is_a_dead_letter_and_the_next_job_is_done() {
    let pair = Pair::start("refusals", "").await;
    let record = NewRecord::value(EXAMPLE)
        .key("tenant-7")
        .header("scheduler", "nightly")
        .partition(0);
    let position = pair.kafka.send(&pair.jobs, record).await;
    let after = json!({"mcpServers": {"modern": pair.python("modern.py")}}).to_string();
    let after = json!({"jobID": "after", "jobType": "server-init", "payload": after});
    let after = NewRecord::value(after.to_string()).partition(0);
    pair.kafka.send(&pair.jobs, after).await;

    let letter = pair.dead_letter("tenant-7", 1).await;
    let header = |name: &str| letter.header(name).unwrap_or_default();
    assert_eq!(letter.text(), EXAMPLE);
    assert_eq!(header("scheduler"), "nightly");
    assert_eq!(
        (&*header("mcp.error.code"), &*header("mcp.error.class")),
        ("launch-denied", "permanent")
    );
    assert_eq!(header("__dlq.errors.delivery.count"), "1");
    assert_eq!(header("__dlq.errors.topic"), pair.jobs);
    assert_eq!(header("__dlq.errors.partition"), position.0.to_string());
    assert_eq!(header("__dlq.errors.offset"), position.1.to_string());
    assert_eq!(header("__dlq.errors.group"), pair.group);
    assert_eq!(header("mcp.job.id"), "job-123");
    let message = header("__dlq.errors.message");
    assert!(
        message.contains("\"uv\"") && message.contains("policy"),
        "{message}"
    );
    let mut told = pair.results(2).await;
    told.sort_by_key(|result| result["jobID"].to_string());
    assert_eq!(told[0]["status"], "succeeded", "{told:?}");
    assert_eq!(told[1]["error"]["code"], "launch-denied", "{told:?}");
    pair.wait_all_committed().await;
}

#[tokio::test]
async fn an_environment_file_at_fault_is_named_and_no_value_is_shown() {
    let pair = Pair::start("env-files", "").await;
    let broken = pair.folder.path().join("env/broken.env");
    std::fs::write(&broken, format!("GOOD=1\nthis line {SECRET} is none\n")).unwrap();
    for (id, file) in [("absent", "mariadb/.env"), ("broken", "broken.env")] {
        pair.submit(id, with_file(&pair, file)).await;
    }
    for (id, file) in [("absent", "mariadb/.env"), ("broken", "broken.env")] {
        let letter = pair.dead_letter(id, 2).await;
        assert_eq!(
            letter.header("mcp.error.code").as_deref(),
            Some("launch-denied")
        );
        assert_eq!(
            letter.header("mcp.error.class").as_deref(),
            Some("permanent")
        );
        let message = letter.header("__dlq.errors.message").unwrap();
        assert!(message.contains(file), "{message}");
        let headers: Vec<_> = letter.headers.iter().map(text).collect();
        assert!(!headers.concat().contains(SECRET), "{headers:?}");
    }
    pair.wait_all_committed().await;
    let told = format!("{:?}{}", pair.results(2).await, pair.log());
    assert!(!told.contains(SECRET), "{told}");
}

#[tokio::test]
async fn a_program_that_can_not_start_is_tried_again_until_its_attempts_are_used_up() {
    let pair = Pair::start("exhausted", "").await;
    let servers = json!({"fine": pair.python("modern.py"), "gone": pair.python("gone.py")});
    pair.submit("exhausted", servers).await;
    let letter = pair.dead_letter("exhausted", 1).await;
    let header = |name: &str| letter.header(name).unwrap_or_default();
    assert_eq!(
        (&*header("mcp.error.code"), &*header("mcp.error.class")),
        ("launch-failed", "exhausted")
    );
    assert_eq!(header("__dlq.errors.delivery.count"), "3");
    let detail: Value = serde_json::from_str(&header("mcp.error.detail")).unwrap();
    assert_eq!(detail["servers"]["fine"]["status"], "succeeded", "{detail}");
    assert_eq!(
        detail["servers"]["gone"]["code"], "launch-failed",
        "{detail}"
    );
    pair.wait_all_committed().await;
}

fn with_file(pair: &Pair, file: &str) -> Value {
    let mut server = pair.python("modern.py");
    server["env"] = json!({"API_TOKEN": SECRET});
    server["envFile"] = json!(file);
    json!({"modern": server})
}

fn text((name, value): &(String, Option<Vec<u8>>)) -> String {
    let value = value.as_deref().unwrap_or_default();
    format!("{name}={}\n", String::from_utf8_lossy(value))
}
