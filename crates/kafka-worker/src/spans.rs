//! The spans of the worker, by OpenTelemetry's semantic conventions for messaging (1.44) and Kafka.

use mcp_core::text::bounded;
use mcp_runtime::trace_context::TARGET;
use rdkafka::Message;
use rdkafka::message::OwnedMessage;
use tracing::Span;
use tracing::field::Empty;

/// Longest record key in a span, in bytes.
const KEY_MAX: usize = 256;

/// A record's way from the consumer into the queue of jobs. The job's id goes in by [`decoded`].
pub fn receive(record: &OwnedMessage, group: &str, client_id: &str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "receive",
        otel.name = format!("receive {}", record.topic()),
        otel.kind = "client",
        messaging.system = "kafka",
        messaging.operation.name = "receive",
        messaging.operation.type = "receive",
        messaging.destination.name = record.topic(),
        messaging.destination.partition.id = record.partition().to_string(),
        messaging.kafka.offset = record.offset(),
        messaging.kafka.message.key = shown_key(record.key()),
        messaging.consumer.group.name = group,
        messaging.client.id = client_id,
        messaging.message.id = Empty,
    )
}

/// The record holds that job.
pub fn decoded(span: &Span, job_id: Option<&str>) {
    if let Some(id) = job_id {
        span.record("messaging.message.id", id);
    }
}

/// One attempt of the job that `record` holds. Its failure goes in by [`failed`].
pub fn process(record: &OwnedMessage, job_id: Option<&str>, group: &str, client_id: &str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "process",
        otel.name = format!("process {}", record.topic()),
        otel.kind = "consumer",
        otel.status_code = Empty,
        messaging.system = "kafka",
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = record.topic(),
        messaging.destination.partition.id = record.partition().to_string(),
        messaging.kafka.offset = record.offset(),
        messaging.kafka.message.key = shown_key(record.key()),
        messaging.consumer.group.name = group,
        messaging.client.id = client_id,
        messaging.message.id = job_id,
        error.type = Empty,
    )
}

/// One record on its way to `topic`. Where it went goes in by [`sent`].
pub fn send(topic: &str, key: Option<&[u8]>, job_id: Option<&str>, client_id: &str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "send",
        otel.name = format!("send {topic}"),
        otel.kind = "producer",
        otel.status_code = Empty,
        messaging.system = "kafka",
        messaging.operation.name = "send",
        messaging.operation.type = "send",
        messaging.destination.name = topic,
        messaging.destination.partition.id = Empty,
        messaging.kafka.offset = Empty,
        messaging.kafka.message.key = shown_key(key),
        messaging.client.id = client_id,
        messaging.message.id = job_id,
        error.type = Empty,
    )
}

/// The record is acknowledged.
pub fn sent(span: &Span, partition: i32, offset: i64) {
    span.record("messaging.destination.partition.id", partition.to_string());
    span.record("messaging.kafka.offset", offset);
}

/// What the span stands for failed, with an error of that name.
pub fn failed(span: &Span, error_type: &str) {
    span.record("error.type", error_type);
    span.record("otel.status_code", "ERROR");
}

fn shown_key(key: Option<&[u8]>) -> Option<String> {
    let key = std::str::from_utf8(key?).ok()?;
    Some(bounded(key, KEY_MAX))
}
