//! One job, one trace: from the program that submits it to its dead letter.

use mcp_testkit::{Kafka, OtlpReceiver, Process, Record, Span, free_port};
use serde_json::json;

use crate::binaries;
use crate::pair::SOON;

/// The attributes that the semantic conventions want, with their types.
fn assert_attributes(span: &Span, wanted: &[(&str, serde_json::Value)]) {
    for (name, value) in wanted {
        assert_eq!(
            span.attributes.get(*name),
            Some(value),
            "{name} of {span:#?}"
        );
    }
}

fn child_of(span: &Span, parent: &Span) {
    assert_eq!(
        (&span.trace_id, &span.parent_id),
        (&parent.trace_id, &parent.span_id),
        "{span:#?} is no child of {parent:#?}"
    );
}

#[tokio::test]
async fn one_trace_links_producer_record_worker_http_call_server_and_dead_letter() {
    let kafka = Kafka::shared().await;
    let jobs = kafka.new_topic("trace", 2, &[]).await;
    let dead = format!("{jobs}-dlq");
    kafka.create_topic(&dead, 1, &[]).await;
    let collector = OtlpReceiver::start().await;
    let port = free_port();
    // It may start nothing, so the job fails for good.
    let mut server = Process::builder(binaries::mcp_server())
        .env("PORT", port)
        .envs(collector.variables())
        .start();
    let base = format!("http://127.0.0.1:{port}");
    server.wait_ready(&base, SOON).await;
    let _worker = Process::builder(binaries::kafka_worker())
        .env("KAFKA_BROKERS", kafka.bootstrap())
        .env("KAFKA_TOPIC", &jobs)
        .env("MCP_CONSUMER_GROUP", format!("group-of-{jobs}"))
        .env("MCP_SERVER_URL", &base)
        .env("ADMIN_PORT", 0)
        .envs(collector.variables())
        .start();
    let mut submit = Process::builder(env!("CARGO_BIN_EXE_mcp-hybrid"))
        .args(["job", "submit", "--brokers", &kafka.bootstrap()])
        .args(["--topic", &jobs, "--id", "traced", "--type", "server-init"])
        .args([
            "--payload",
            r#"{"mcpServers":{"a":{"command":"not-allowed"}}}"#,
        ])
        .envs(collector.variables())
        .start();
    assert!(
        submit.wait_exit(SOON).await.success(),
        "{:?}",
        submit.output()
    );
    let letter = kafka.read_until(&dead, 1, SOON).await.remove(0);

    let named = async |service: &str, name: &str| {
        let fits = |span: &Span| span.service == service && span.name == name;
        collector
            .wait_span(&format!("{service} {name}"), SOON, fits)
            .await
    };
    let send = named("mcp-hybrid", &format!("send {jobs}")).await;
    let process = named("kafka-worker", &format!("process {jobs}")).await;
    let call = named("kafka-worker", "POST").await;
    let request = named("mcp-server", "POST /message").await;
    let bury = named("kafka-worker", &format!("send {dead}")).await;

    let record = kafka.read_all(&jobs).await.remove(0);
    assert_eq!(record.header("traceparent"), Some(send.traceparent()));
    child_of(&process, &send);
    child_of(&call, &process);
    child_of(&request, &call);
    child_of(&bury, &process);
    let letter_of = letter.header("traceparent").expect("a trace");
    assert!(letter_of.contains(&bury.trace_id), "{letter_of}");

    assert_eq!(
        [&send, &process, &call, &request, &bury].map(|span| span.kind),
        ["producer", "consumer", "client", "server", "producer"]
    );
    let at = |record: &Record| {
        [
            (
                "messaging.destination.partition.id",
                json!(record.partition.to_string()),
            ),
            ("messaging.kafka.offset", json!(record.offset)),
        ]
    };
    let produced = |topic: &str| {
        [
            ("messaging.system", json!("kafka")),
            ("messaging.operation.name", json!("send")),
            ("messaging.operation.type", json!("send")),
            ("messaging.destination.name", json!(topic)),
        ]
    };
    assert_attributes(&send, &produced(&jobs));
    assert_attributes(&send, &at(&record));
    assert_attributes(&bury, &produced(&dead));
    assert_attributes(&bury, &at(&letter));
    assert_attributes(&process, &at(&record));
    assert_attributes(
        &process,
        &[
            ("messaging.system", json!("kafka")),
            ("messaging.operation.name", json!("process")),
            ("messaging.operation.type", json!("process")),
            ("messaging.destination.name", json!(jobs)),
            (
                "messaging.consumer.group.name",
                json!(format!("group-of-{jobs}")),
            ),
            ("messaging.kafka.message.key", json!("traced")),
            ("messaging.message.id", json!("traced")),
            ("error.type", json!(letter.header("mcp.error.code"))),
        ],
    );
    assert!(process.is_error);
    assert_attributes(
        &call,
        &[
            ("http.request.method", json!("POST")),
            ("http.response.status_code", json!(200)),
            ("server.address", json!("127.0.0.1")),
            ("server.port", json!(port)),
            ("url.full", json!(format!("{base}/message"))),
        ],
    );
    assert_attributes(
        &request,
        &[
            ("http.request.method", json!("POST")),
            ("http.route", json!("/message")),
            ("http.response.status_code", json!(200)),
        ],
    );
}
