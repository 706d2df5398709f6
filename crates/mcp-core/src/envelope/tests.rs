use super::*;

/// The example message of the product's contract, byte for byte.
const SEED: &str = r#"{"jobID":"job-123","jobType":"server-init","payload":"{\"mcpServers\":{\"MariaDB_Server\":{\"command\":\"uv\",\"args\":[\"--directory\",\"path/to/server\",\"run\",\"server.py\"],\"envFile\":\"path/to/.env\"}}}"}"#;

/// The same message as the first design document prints it, with white space.
const SEED_PRINTED: &str = r#"{
  "jobID": "job-123",
  "jobType": "server-init",
  "payload": "{\"mcpServers\":{\"MariaDB_Server\":{\"command\":\"uv\",\"args\":[\"--directory\",\"path/to/server\",\"run\",\"server.py\"],\"envFile\":\"path/to/.env\"}}}"
}"#;

fn decode(text: &str) -> Result<JobEnvelope, Failure> {
    JobEnvelope::decode(Some(text.as_bytes()), None)
}

fn message(value: &[u8]) -> String {
    JobEnvelope::decode(Some(value), None).unwrap_err().message
}

#[test]
fn the_example_message_reads_and_writes_back_to_the_same_bytes() {
    let envelope = decode(SEED).unwrap();
    assert_eq!(envelope.job_id, "job-123");
    assert_eq!(envelope.job_type, "server-init");
    assert_eq!(serde_json::to_string(&envelope).unwrap(), SEED);
    assert_eq!(decode(SEED_PRINTED).unwrap(), envelope);
}

#[test]
fn snake_case_aliases_are_accepted() {
    let envelope = decode(r#"{"job_id":"a","job_type":"tool-call","payload":"{}"}"#).unwrap();
    assert_eq!((&*envelope.job_id, &*envelope.job_type), ("a", "tool-call"));
}

#[test]
fn an_object_payload_is_the_same_as_its_text() {
    let object = decode(r#"{"jobID":"a","jobType":"t","payload":{"b":1,"a":[2]}}"#).unwrap();
    let text = decode(r#"{"jobID":"a","jobType":"t","payload":"{\"b\":1,\"a\":[2]}"}"#).unwrap();
    assert_eq!(object, text);
}

#[test]
fn times_are_read_and_unknown_fields_are_kept() {
    let text = r#"{"jobID":"a","jobType":"t","payload":"{}","notBefore":"2026-11-21T08:00:00Z","expiresAt":"2026-11-21T10:00:00+01:00","tenant":"x"}"#;
    let envelope = decode(text).unwrap();
    assert_eq!(
        envelope.expires_at.unwrap().to_rfc3339(),
        "2026-11-21T09:00:00+00:00"
    );
    assert_eq!(envelope.extra["tenant"], "x");
    assert!(
        serde_json::to_string(&envelope)
            .unwrap()
            .contains(r#""tenant":"x""#)
    );
}

#[test]
fn a_structured_cloud_event_carries_the_envelope_as_data() {
    let inner = r#"{"jobID":"a","jobType":"t","payload":"{}"}"#;
    let quoted = serde_json::to_string(inner).unwrap();
    let encoded = base64::engine::general_purpose::STANDARD.encode(inner);
    for data in [
        format!(r#""data":{inner}"#),
        format!(r#""data":{quoted}"#),
        format!(r#""data_base64":"{encoded}""#),
    ] {
        let event = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t",{data}}}"#);
        let envelope = JobEnvelope::decode(
            Some(event.as_bytes()),
            Some("application/cloudevents+json; charset=UTF-8"),
        )
        .unwrap();
        assert_eq!(envelope.job_id, "a", "{data}");
    }
}

#[test]
fn a_binary_cloud_event_is_the_envelope_itself() {
    let envelope = JobEnvelope::decode(Some(SEED.as_bytes()), Some("application/json")).unwrap();
    assert_eq!(envelope.job_id, "job-123");
}

#[test]
fn every_malformed_record_says_what_is_wrong_and_where() {
    let null = JobEnvelope::decode(None, None).unwrap_err();
    assert_eq!(null.message, "the record's value is null");
    assert_eq!(null.code, ErrorCode::InvalidRecord);
    assert_eq!(message(b""), "the record's value is empty");
    assert_eq!(
        message(b"ab\xff"),
        "the record's value is not UTF-8 at byte 2"
    );
    assert_eq!(
        message(b"{\n oops"),
        "not JSON: key must be a string at line 2 column 2"
    );
    assert_eq!(
        message(b"[1]"),
        "not a job envelope: invalid type: sequence, expected an object with `jobID`, `jobType` and `payload` at line 1 column 0"
    );
    assert_eq!(
        message(br#"{"jobType":"t","payload":"{}"}"#),
        "not a job envelope: missing field `jobID` at line 1 column 30"
    );
    assert_eq!(
        message(br#"{"jobID":"a","jobType":"t","payload":7}"#),
        "not a job envelope: `payload` must be a string that holds JSON, or an object at line 1 column 39"
    );
    assert_eq!(
        message(br#"{"jobID":"","jobType":"t","payload":"{}"}"#),
        "`jobID` is empty"
    );
    let long = format!(
        r#"{{"jobID":"{}","jobType":"t","payload":"{{}}"}}"#,
        "x".repeat(513)
    );
    assert_eq!(
        message(long.as_bytes()),
        "`jobID` has 513 bytes, 512 are allowed"
    );
}

#[test]
fn deep_nesting_is_refused_without_overflowing_the_stack() {
    let deep = "[".repeat(1_000_000);
    assert!(message(deep.as_bytes()).starts_with("not a job envelope: invalid type: sequence"));
    let inside = format!(
        r#"{{"jobID":"a","jobType":"t","payload":{{"a":{}}}}}"#,
        "[".repeat(100_000)
    );
    assert!(message(inside.as_bytes()).contains("recursion limit exceeded"));
}
