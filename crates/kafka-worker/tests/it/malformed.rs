use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};
use serde_json::{Value, json};

use crate::setting::{Setting, answered, job, tool_job};

const MEGABYTES_10: usize = 10_000_000;

/// A record, and what the dead letter must say about it.
fn malformed() -> Vec<(NewRecord, &'static str, &'static str)> {
    let envelope = |value: Value| NewRecord::value(value.to_string());
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_payload =
        format!(r#"{{"jobID":"a","jobType":"tool-call","payload":{{"tool":{deep}}}}}"#);
    let record = "invalid-record";
    let payload = "invalid-payload";
    vec![
        (
            NewRecord::value("not JSON"),
            record,
            "not JSON: expected ident at line 1 column 2",
        ),
        (
            NewRecord::value("{\"jobID\":\n oops}"),
            record,
            "line 2 column 2",
        ),
        (NewRecord::value("[1]"), record, "not a job envelope"),
        (
            NewRecord::value("42"),
            record,
            "not a job envelope: invalid type: integer",
        ),
        (NewRecord::value("{}"), record, "missing field `jobID`"),
        (
            envelope(json!({"jobID": "a", "payload": "{}"})),
            record,
            "missing field `jobType`",
        ),
        (
            envelope(json!({"jobID": "a", "jobType": "tool-call"})),
            record,
            "missing field `payload`",
        ),
        (
            envelope(json!({"jobID": "a", "jobType": "tool-call", "payload": 7})),
            record,
            "`payload` must be a string that holds JSON, or an object",
        ),
        (
            envelope(json!({"jobID": "", "jobType": "tool-call", "payload": "{}"})),
            record,
            "`jobID` is empty",
        ),
        (
            envelope(
                json!({"jobID": "a", "jobType": "tool-call", "payload": "{}", "notBefore": "soon"}),
            ),
            record,
            "not a job envelope",
        ),
        (NewRecord::value(""), record, "the record's value is empty"),
        (
            NewRecord::null().key("k"),
            record,
            "the record's value is null",
        ),
        (
            NewRecord::value(vec![b'x'; MEGABYTES_10]),
            record,
            "not JSON",
        ),
        (
            envelope(json!({"filler": "x".repeat(MEGABYTES_10)})),
            record,
            "missing field `jobID`",
        ),
        (
            NewRecord::value(b"{\"jobID\":\"\xff\"}"),
            record,
            "not UTF-8 at byte 10",
        ),
        (
            NewRecord::value(deep),
            record,
            "not a job envelope: invalid type: sequence",
        ),
        (NewRecord::value(deep_payload), record, "recursion limit"),
        (
            job("a", "no-such-type", &json!({})),
            "unknown-job-type",
            "known are server-init",
        ),
        (
            job("a", "server-init", &json!({"mcpServers": {}})),
            payload,
            "`mcpServers` is empty",
        ),
        (
            job("a", "server-init", &json!({})),
            payload,
            "missing field `mcpServers`",
        ),
        (
            job("a", "server-init", &json!({"mcpServers": {"db": {}}})),
            payload,
            "`mcpServers`.\"db\": neither `command` nor `url` is given",
        ),
        (
            job("a", "tool-call", &json!([])),
            payload,
            "the payload must be",
        ),
        (
            envelope(json!({"jobID": "a", "jobType": "server-init", "payload": "{"})),
            payload,
            "line 1 column 1",
        ),
        (
            NewRecord::value("<event/>").header("content-type", "application/cloudevents+xml"),
            record,
            "not a CloudEvent",
        ),
    ]
}

#[tokio::test]
async fn every_malformed_record_is_dead_lettered_with_what_and_where_and_the_next_goes_on() {
    let kafka = Kafka::shared().await;
    let large = [("max.message.bytes", "12000000")];
    let jobs = kafka.new_topic("malformed", 1, &large).await;
    let setting = Setting {
        kafka,
        dead: format!("{jobs}-dlq"),
        group: format!("group-of-{jobs}"),
        jobs,
    };
    kafka.create_topic(&setting.dead, 1, &large).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let malformed = malformed();
    for (number, (record, ..)) in malformed.iter().enumerate() {
        setting.submit(record.clone()).await;
        setting
            .submit(tool_job(&format!("good-{number}"), "x"))
            .await;
    }

    // In partition order, nothing passes a record that is stuck.
    let _worker = setting
        .worker(&server)
        .var("WORKER_ORDERING", "partition")
        .var("RUST_LOG", "info")
        .start()
        .await;

    setting.wait_all_committed().await;
    let letters = setting.dead_letters(malformed.len()).await;
    let sent = kafka.read_all(&setting.jobs).await;
    for (number, (_, code, part)) in malformed.iter().enumerate() {
        let letter = &letters[number];
        let message = letter.header("__dlq.errors.message").expect("a message");
        assert!(
            message.contains(part),
            "{number}: {message:?} without {part:?}"
        );
        assert_eq!(
            letter.header("mcp.error.code").as_deref(),
            Some(*code),
            "{message}"
        );
        assert_eq!(
            letter.header("mcp.error.class").as_deref(),
            Some("permanent")
        );
        assert_eq!(
            letter.header("__dlq.errors.offset"),
            Some((2 * number).to_string())
        );
        assert!(
            letter.value == sent[2 * number].value,
            "{message}: another value"
        );
        assert_eq!(letter.key, sent[2 * number].key, "{message}");
    }
    assert_eq!(answered(&server).len(), malformed.len());
}
