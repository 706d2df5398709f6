use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};
use serde_json::{Value, json};

use crate::setting::{Setting, job};

const SECRET: &str = "hunter2-in-the-environment";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test]
async fn a_dead_letter_is_the_record_with_headers_that_say_why() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "letter", 2).await;
    // A server that repeats the environment in its answer.
    let server = StubServer::start(async |call| {
        let detail = json!({"code": "launch-denied", "retryable": false, "detail": call.arguments});
        Reply::tool_error_with(detail, &format!("not with {}", call.arguments))
    })
    .await;
    let servers = json!({"mcpServers": {"db": {"command": "uv", "env": {"PASSWORD": SECRET}}}});
    // Spaces at the end: the value must come back byte for byte, not parsed and written again.
    let value = format!(
        "{}  ",
        json!({"jobID": "j1", "jobType": "server-init", "payload": servers})
    );
    let key = b"\xff\x00key";
    let trace = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let record = NewRecord::value(&value)
        .key(key)
        .header("tenant", "a")
        .header("tenant", b"\xfe")
        .null_header("nothing")
        .header("traceparent", &trace)
        .header("mcp.redrive.count", "2")
        .partition(1);
    let (partition, offset) = setting.submit(record).await;

    let mut worker = setting
        .worker(&server)
        .var("RUST_LOG", "trace")
        .var("KAFKA_PROPERTY_CLIENT_ID", "worker-of-the-test")
        .start()
        .await;
    let letters = setting.dead_letters(1).await;
    setting.wait_all_committed().await;
    worker.leave().await;

    let letter = &letters[0];
    assert_eq!(letter.value.as_deref(), Some(value.as_bytes()));
    assert_eq!(letter.key.as_deref(), Some(&key[..]));
    let originals = [
        ("tenant".to_owned(), Some(b"a".to_vec())),
        ("tenant".to_owned(), Some(b"\xfe".to_vec())),
        ("nothing".to_owned(), None),
        ("traceparent".to_owned(), Some(trace.into_bytes())),
    ];
    assert_eq!(letter.headers[..4], originals);
    let exact = [
        ("__dlq.errors.topic", setting.jobs.as_str()),
        ("__dlq.errors.partition", &partition.to_string()),
        ("__dlq.errors.offset", &offset.to_string()),
        ("__dlq.errors.group", &setting.group),
        ("__dlq.errors.delivery.count", "1"),
        ("mcp.error.code", "launch-denied"),
        ("mcp.error.class", "permanent"),
        ("mcp.job.id", "j1"),
        ("mcp.job.type", "server-init"),
        ("mcp.worker", "worker-of-the-test"),
        ("mcp.redrive.count", "2"),
    ];
    for (name, value) in exact {
        let found = letter.headers.iter().filter(|(found, _)| found == name);
        assert_eq!(found.count(), 1, "{name}");
        assert_eq!(letter.header(name).as_deref(), Some(value), "{name}");
    }
    for name in ["mcp.first-attempt-at", "mcp.failed-at"] {
        let time = letter.header(name).expect("a time");
        chrono::DateTime::parse_from_rfc3339(&time).expect("RFC 3339");
    }
    let message = letter.header("__dlq.errors.message").expect("a message");
    assert!(message.contains("not with"), "{message}");
    let detail = letter.header("mcp.error.detail").expect("a detail");
    serde_json::from_str::<Value>(&detail).expect("JSON");

    for (name, value) in &letter.headers {
        let value = String::from_utf8_lossy(value.as_deref().unwrap_or_default());
        assert!(!value.contains(SECRET), "{name}: {value}");
    }
    assert!(!worker.log().contains(SECRET));
}

#[tokio::test]
async fn a_malformed_job_does_not_give_its_secrets_away() {
    let setting = Setting::new(Kafka::shared().await, "leaks", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let init = |server: Value| job("a", "server-init", &json!({"mcpServers": {"db": server}}));
    let twice = json!(json!({"env": {"PASSWORD": SECRET}}).to_string()).to_string();
    setting
        .submit_all([
            init(json!({"command": "x", "env": format!("PASSWORD={SECRET}")})),
            init(json!({"command": "x", "env": [SECRET]})),
            init(json!({"command": "x", "headers": SECRET})),
            init(json!(SECRET)),
            job("a", "server-init", &json!({"mcpServers": SECRET})),
            job("a", "svg-generate", &json!(SECRET)),
            job("a", "tool-call", &json!({"tool": "t", "arguments": SECRET})),
            // Encoded twice, as a careless producer does.
            NewRecord::value(twice),
        ])
        .await;

    let mut worker = setting
        .worker(&server)
        .var("RUST_LOG", "trace")
        .start()
        .await;
    let letters = setting.dead_letters(8).await;
    setting.wait_all_committed().await;
    worker.leave().await;

    for letter in &letters {
        let message = letter.header("__dlq.errors.message").expect("a message");
        assert!(message.contains("invalid type"), "{message}");
        for (name, value) in &letter.headers {
            let value = String::from_utf8_lossy(value.as_deref().unwrap_or_default());
            assert!(!value.contains(SECRET), "{name}: {value}");
        }
    }
    assert!(!worker.log().contains(SECRET));
}

#[tokio::test]
async fn a_dead_lettered_job_is_told_as_a_result_too() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "dead-result", 1).await;
    let results = kafka.new_topic("dead-result-results", 1, &[]).await;
    let server = StubServer::start(async |_| Reply::status(422)).await;
    setting.submit(crate::setting::tool_job("a", "x")).await;
    setting.submit(NewRecord::value("oops")).await;

    let _worker = setting
        .worker(&server)
        .var("KAFKA_RESULT_TOPIC", &results)
        .start()
        .await;
    setting.wait_all_committed().await;

    let told: Vec<_> = kafka
        .read_all(&results)
        .await
        .iter()
        .map(|r| r.json())
        .collect();
    assert_eq!(told.len(), 2);
    let of = |id: Value| {
        told.iter()
            .find(|result| result["jobID"] == id)
            .expect("told")
    };
    let failed = of(json!("a"));
    assert_eq!(failed["status"], "dead-lettered");
    assert_eq!(failed["error"]["code"], "request-rejected");
    assert_eq!(failed["error"]["class"], "permanent");
    assert_eq!(failed.get("result"), None);
    assert_eq!(of(Value::Null)["error"]["code"], "invalid-record");
}
