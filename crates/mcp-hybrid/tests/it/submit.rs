//! `mcp-hybrid job submit`: what reaches the topic, and what is refused before that.

use mcp_testkit::{Kafka, Record};
use serde_json::{Value, json};

use crate::command::mcp_hybrid;

const PAYLOAD: &str = r#"{"tool":"echo","arguments":{"text":"hi"}}"#;

fn job(id: &str) -> Value {
    json!({"jobID": id, "jobType": "tool-call", "payload": PAYLOAD, "tenant": 7})
}

/// Asserts that `printed` says where the records are, one line for each, in order.
fn assert_tells(printed: &[Value], topic: &str, records: &[Record]) {
    let told: Vec<_> = printed
        .iter()
        .map(|line| (line["jobID"].clone(), line["offset"].clone()))
        .collect();
    let found: Vec<_> = records
        .iter()
        .map(|record| (record.json()["jobID"].clone(), json!(record.offset)))
        .collect();
    assert_eq!(told, found);
    for line in printed {
        assert_eq!(
            (&line["topic"], &line["partition"]),
            (&json!(topic), &json!(0))
        );
    }
}

#[tokio::test]
async fn a_job_given_by_type_and_payload_reaches_the_topic() {
    let kafka = Kafka::shared().await;
    let topic = kafka.new_topic("submit-arguments", 1, &[]).await;
    let brokers = kafka.bootstrap();
    let to = ["job", "submit", "--brokers", &brokers, "--topic", &topic];
    let what = ["--type", "tool-call", "--payload", PAYLOAD];
    let with = [&to[..], &what, &["--id", "mine", "--key", "tenant-7"]].concat();
    let mut printed = mcp_hybrid(&with, &[], "").await.json_lines(0);
    // Flags win over variables; without an id each job gets one of its own.
    let elsewhere = [("KAFKA_BROKERS", "127.0.0.1:1"), ("KAFKA_TOPIC", "no")];
    for _ in 0..2 {
        let without = [&to[..], &what].concat();
        printed.extend(mcp_hybrid(&without, &elsewhere, "").await.json_lines(0));
    }

    let records = kafka.read_all(&topic).await;
    assert_eq!(records.len(), 3);
    assert_tells(&printed, &topic, &records);
    assert_eq!(records[0].key_text().as_deref(), Some("tenant-7"));
    // The trace begins here.
    let trace = records[0].header("traceparent");
    assert!(trace.is_some_and(|trace| trace.starts_with("00-")));
    assert_eq!(
        records[0].json(),
        json!({"jobID": "mine", "jobType": "tool-call", "payload": PAYLOAD})
    );
    let ids: Vec<_> = records[1..]
        .iter()
        .map(|r| r.json()["jobID"].clone())
        .collect();
    assert_ne!(ids[0], ids[1]);
    for (record, id) in records[1..].iter().zip(ids) {
        assert_eq!(record.key_text().as_deref(), id.as_str());
    }
}

#[tokio::test]
async fn jobs_from_files_and_standard_input_reach_the_topic_in_order() {
    let kafka = Kafka::shared().await;
    let topic = kafka.new_topic("submit-files", 1, &[]).await;
    let brokers = kafka.bootstrap();
    let variables = [("KAFKA_BROKERS", &*brokers), ("KAFKA_TOPIC", &*topic)];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jobs");
    let path = file.to_str().unwrap();
    let mut printed = Vec::new();

    std::fs::write(&file, job("one").to_string()).unwrap();
    let submit = ["job", "submit", "--file", path];
    printed.extend(mcp_hybrid(&submit, &variables, "").await.json_lines(0));

    let pretty = serde_json::to_string_pretty(&job("two")).unwrap();
    let aliases = r#"{"job_id":"four","job_type":"tool-call","payload":{"tool":"echo"}}"#;
    let several = format!("{pretty}\n\n{}{aliases}\n", job("three"));
    std::fs::write(&file, several).unwrap();
    let submit = ["job", "submit", "-f", path];
    printed.extend(mcp_hybrid(&submit, &variables, "").await.json_lines(0));

    let input = format!("{}\n{}\n", job("five"), job("six"));
    let submit = ["job", "submit", "--file", "-", "--key", "same"];
    printed.extend(mcp_hybrid(&submit, &variables, input).await.json_lines(0));

    let records = kafka.read_all(&topic).await;
    assert_tells(&printed, &topic, &records);
    let ids: Vec<_> = records.iter().map(|r| r.json()["jobID"].clone()).collect();
    assert_eq!(ids, ["one", "two", "three", "four", "five", "six"]);
    let keys: Vec<_> = records.iter().filter_map(Record::key_text).collect();
    assert_eq!(keys, ["one", "two", "three", "four", "same", "same"]);
    for at in [0, 1, 2, 4, 5] {
        let id = ids[at].as_str().unwrap();
        assert_eq!(records[at].json(), job(id), "unknown fields are kept");
    }
}

#[tokio::test]
async fn jobs_that_do_not_fit_are_refused_before_any_is_sent() {
    let kafka = Kafka::shared().await;
    let topic = kafka.new_topic("submit-refused", 1, &[]).await;
    let brokers = kafka.bootstrap();
    let variables = [("KAFKA_BROKERS", &*brokers), ("KAFKA_TOPIC", &*topic)];
    let good = job("good");
    for (bad, parts) in [
        ("{", ["job 2", "EOF"]),
        ("[]", ["job 2", "object"]),
        (
            r#"{"jobType":"tool-call","payload":"{}"}"#,
            ["job 2", "jobID"],
        ),
        (
            r#"{"jobID":"b","jobType":"no-such","payload":"{}"}"#,
            ["job 2 (b)", "no-such"],
        ),
        (
            r#"{"jobID":"b","jobType":"server-init","payload":"{}"}"#,
            ["job 2 (b)", "mcpServers"],
        ),
        (
            r#"{"jobID":"b","jobType":"server-init","payload":{"mcpServers":{}}}"#,
            ["job 2 (b)", "nothing was sent"],
        ),
    ] {
        let input = format!("{good}\n{bad}");
        let ran = mcp_hybrid(&["job", "submit", "--file", "-"], &variables, input).await;
        let line = ran.refusal(1);
        assert!(
            parts.iter().all(|part| line.contains(part)),
            "{bad}: {line}"
        );
    }
    for (arguments, code, part) in [
        (&["--file", "-"][..], 1, "there is no job in it"),
        (&["--file", "/no/such/file"], 1, "/no/such/file"),
        (&["--file", "/"], 1, "directory"),
        (&[], 1, "--file"),
        (&["--type", "tool-call"], 2, "--payload"),
        (&["--payload", "{}"], 2, "--type"),
        (&["--file", "-", "--id", "x"], 2, "--id"),
        (&["--type", "tool-call", "--payload", "{"], 1, "payload"),
        (
            &["--type", "tool-call", "--payload", PAYLOAD, "--id", ""],
            1,
            "jobID",
        ),
        (
            &["--type", "tool-call", "--payload", PAYLOAD, "--wait"],
            1,
            "--result-topic",
        ),
        (&["--timeout", "0"], 2, "--timeout"),
    ] {
        let arguments = [&["job", "submit"][..], arguments].concat();
        let ran = mcp_hybrid(&arguments, &variables, "").await;
        let line = ran.refusal(code);
        assert!(line.contains(part), "{arguments:?}: {line}");
    }
    assert_eq!(kafka.end_offsets(&topic).await, [0]);

    let unknown = r#"{"jobID":"b","jobType":"no-such","payload":"{}"}"#;
    let submit = ["job", "submit", "--file", "-", "--no-check"];
    let printed = mcp_hybrid(&submit, &variables, unknown).await.json_lines(0);
    assert_tells(&printed, &topic, &kafka.read_all(&topic).await);
}

#[tokio::test]
async fn a_broker_must_be_given_and_answer() {
    let job = ["--type", "tool-call", "--payload", PAYLOAD];
    let submit = [&["job", "submit"][..], &job].concat();
    let ran = mcp_hybrid(&submit, &[], "").await;
    let line = ran.refusal(1);
    assert!(
        line.contains("--brokers") && line.contains("KAFKA_BROKERS"),
        "{line}"
    );
    let ran = mcp_hybrid(&[&submit[..], &["--brokers", "kafka"]].concat(), &[], "").await;
    let line = ran.refusal(1);
    assert!(
        line.contains("\"kafka\"") && line.contains("host:port"),
        "{line}"
    );
    let variables = [("KAFKA_BROKERS", "127.0.0.1:1")];
    let ran = mcp_hybrid(&submit, &variables, "").await;
    let line = ran.refusal(1);
    assert!(
        line.contains("127.0.0.1:1") && line.contains("mcp-jobs"),
        "{line}"
    );
}
