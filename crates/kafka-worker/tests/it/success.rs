use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};
use serde_json::json;

use crate::setting::Setting;
use crate::worker::SOON;

/// The example message of the contract.
const JOB: &str = r#"{"jobID":"job-123","jobType":"server-init","payload":"{\"mcpServers\":{\"MariaDB_Server\":{\"command\":\"uv\",\"args\":[\"--directory\",\"path/to/server\",\"run\",\"server.py\"],\"envFile\":\"path/to/.env\"}}}"}"#;
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const API_KEY: &str = "a-very-secret-api-key";

#[tokio::test]
async fn a_job_that_succeeds_is_called_once_told_and_committed() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "success", 1).await;
    let results = kafka.new_topic("success-results", 1, &[]).await;
    let server = StubServer::start(async |call| Reply::initialized(&call)).await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let record = NewRecord::value(JOB)
        .key("tenant-7")
        .header("traceparent", &parent)
        .header("tracestate", "vendor=1");
    setting.submit(record).await;

    let mut worker = setting
        .worker(&server)
        .var("KAFKA_RESULT_TOPIC", &results)
        .var("MCP_API_KEY", API_KEY)
        .var("RUST_LOG", "trace")
        .start()
        .await;
    let told = kafka.read_until(&results, 1, SOON).await;
    setting.wait_all_committed().await;
    worker.wait_ready().await;
    worker.leave().await;

    let calls = server.calls();
    assert_eq!(calls.len(), 1);
    let call = &calls[0].call;
    assert_eq!(
        (&*call.tool, &*call.path),
        ("server_initialize", "/message")
    );
    assert_eq!(
        call.arguments,
        json!({
            "name": "MariaDB_Server",
            "command": "uv",
            "args": ["--directory", "path/to/server", "run", "server.py"],
            "envFile": "path/to/.env",
        })
    );
    let key = format!("{}/job-123/MariaDB_Server", setting.jobs);
    assert_eq!(call.idempotency_key(), Some(&*key));
    assert_eq!(call.meta["io.mcp-hybrid/idempotency-key"], key);
    let bearer = format!("Bearer {API_KEY}");
    assert_eq!(call.header("authorization"), Some(&*bearer));
    let trace = call.header("traceparent").expect("a trace context");
    // No traces are exported, so there is no span in between.
    assert_eq!(trace, parent);
    assert_eq!(call.header("tracestate"), Some("vendor=1"));

    assert_eq!(told.len(), 1);
    assert_eq!(told[0].key_text().as_deref(), Some("tenant-7"));
    let result = told[0].json();
    let fields: Vec<_> = result.as_object().expect("an object").keys().collect();
    assert_eq!(
        fields,
        [
            "jobID",
            "jobType",
            "status",
            "attempts",
            "startedAt",
            "finishedAt",
            "result"
        ]
    );
    assert_eq!(result["jobID"], "job-123");
    assert_eq!(result["jobType"], "server-init");
    assert_eq!(
        (&result["status"], &result["attempts"]),
        (&json!("succeeded"), &json!(1))
    );
    let time = |field: &str| {
        let text = result[field].as_str().expect("a time");
        chrono::DateTime::parse_from_rfc3339(text).expect("RFC 3339")
    };
    assert!(time("startedAt") <= time("finishedAt"));
    assert_eq!(result["result"]["MariaDB_Server"]["status"], "initialized");

    assert_eq!(kafka.end_offsets(&setting.dead).await, [0]);
    assert!(!worker.log().contains(API_KEY));
}

#[tokio::test]
async fn a_server_url_with_a_path_is_used_as_it_is() {
    let setting = Setting::new(Kafka::shared().await, "path", 1).await;
    let server = StubServer::start(async |_| Reply::text("done").as_sse()).await;
    setting.submit(crate::setting::tool_job("a", "x")).await;

    let _worker = setting
        .worker(&server)
        .var("MCP_SERVER_URL", format!("{}/mcp", server.url()))
        .start()
        .await;

    setting.wait_all_committed().await;
    assert_eq!(server.calls()[0].call.path, "/mcp");
}

#[tokio::test]
async fn topics_of_a_list_have_dead_letter_topics_of_their_own() {
    let kafka = Kafka::shared().await;
    let first = Setting::new(kafka, "list-first", 1).await;
    let second = Setting::new(kafka, "list-second", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    first.submit(NewRecord::value("first")).await;
    second.submit(NewRecord::value("second")).await;

    let _worker = first
        .worker(&server)
        .var("KAFKA_TOPIC", format!("{}, {}", first.jobs, second.jobs))
        .start()
        .await;

    assert_eq!(first.dead_letters(1).await[0].text(), "first");
    assert_eq!(second.dead_letters(1).await[0].text(), "second");
}
