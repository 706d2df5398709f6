use super::*;
use mcp_core::ErrorCode;
use rdkafka::Timestamp;

fn record(headers: &[(&str, Option<&[u8]>)]) -> OwnedMessage {
    let headers = headers
        .iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header { key, value: *value })
        });
    OwnedMessage::new(
        Some(b"\xffvalue".to_vec()),
        Some(b"key".to_vec()),
        "mcp-jobs".into(),
        Timestamp::NotAvailable,
        3,
        41,
        Some(headers),
    )
}

fn verdict() -> Verdict {
    Verdict {
        failure: Failure::new(ErrorCode::InvalidRecord, "not JSON").with_detail(json!({"line": 1})),
        class: Class::Permanent,
        attempts: 1,
        group: "mcp-workers".into(),
        job_id: Some("job-123".into()),
        job_type: None,
        first_attempt_at: "2026-11-21T08:00:00.000Z".into(),
        failed_at: "2026-11-21T08:00:01.000Z".into(),
        worker: "worker-1".into(),
        traceparent: Some("00-1-2-01".into()),
    }
}

fn pairs(headers: &OwnedHeaders) -> Vec<(String, Option<String>)> {
    headers
        .iter()
        .map(|h| {
            let value = h.value.map(|v| String::from_utf8_lossy(v).into_owned());
            (h.key.to_owned(), value)
        })
        .collect()
}

#[test]
fn the_headers_are_those_of_the_contract_in_utf8() {
    let written = pairs(&headers(&record(&[]), &verdict(), Extent::Whole));
    let expected = [
        ("__dlq.errors.topic", "mcp-jobs"),
        ("__dlq.errors.partition", "3"),
        ("__dlq.errors.offset", "41"),
        ("__dlq.errors.group", "mcp-workers"),
        ("__dlq.errors.delivery.count", "1"),
        ("__dlq.errors.message", "not JSON"),
        ("mcp.error.code", "invalid-record"),
        ("mcp.error.class", "permanent"),
        ("mcp.error.detail", r#"{"line":1}"#),
        ("mcp.first-attempt-at", "2026-11-21T08:00:00.000Z"),
        ("mcp.failed-at", "2026-11-21T08:00:01.000Z"),
        ("mcp.worker", "worker-1"),
        ("mcp.redrive.count", "0"),
        ("mcp.job.id", "job-123"),
        ("traceparent", "00-1-2-01"),
    ]
    .map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
    assert_eq!(written, expected);
}

#[test]
fn the_records_headers_are_kept_repeated_and_null_ones_too() {
    let record = record(&[
        ("a", Some(b"1")),
        ("a", Some(b"2")),
        ("b", None),
        ("traceparent", Some(b"00-original")),
    ]);
    let written = pairs(&headers(&record, &verdict(), Extent::Whole));
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        written[..4],
        [
            ("a".to_owned(), some("1")),
            ("a".to_owned(), some("2")),
            ("b".to_owned(), None),
            ("traceparent".to_owned(), some("00-original")),
        ]
    );
    let traces = written.iter().filter(|(name, _)| name == "traceparent");
    assert_eq!(traces.count(), 1);
}

#[test]
fn a_count_of_redrives_that_is_no_number_is_none() {
    let long = "9".repeat(2_000_000);
    for count in ["", "-1", "many", &long] {
        let record = record(&[("mcp.redrive.count", Some(count.as_bytes()))]);
        let written = pairs(&headers(&record, &verdict(), Extent::HeadersOnly));
        let zero = (REDRIVE_COUNT.to_owned(), Some("0".to_owned()));
        assert!(written.contains(&zero));
    }
}

#[test]
fn a_redriven_job_keeps_its_count_and_has_each_of_our_headers_once() {
    let record = record(&[
        ("mcp.redrive.count", Some(b"2")),
        ("mcp.error.code", Some(b"old")),
    ]);
    let written = pairs(&headers(&record, &verdict(), Extent::Whole));
    let of = |name: &str| -> Vec<_> {
        written
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.clone().unwrap_or_default())
            .collect()
    };
    assert_eq!(of("mcp.redrive.count"), ["2"]);
    assert_eq!(of("mcp.error.code"), ["invalid-record"]);
}

#[test]
fn what_is_left_out_is_said() {
    let record = record(&[("a", Some(b"1"))]);
    let without_value = pairs(&headers(&record, &verdict(), Extent::WithoutValue));
    assert!(without_value.contains(&("mcp.value.omitted".into(), Some("6".into()))));
    assert!(without_value.contains(&("a".into(), Some("1".into()))));
    let ours_only = pairs(&headers(&record, &verdict(), Extent::HeadersOnly));
    assert!(ours_only.contains(&("mcp.headers.omitted".into(), Some("1".into()))));
    assert!(!ours_only.iter().any(|(name, _)| name == "a"));
}

#[test]
fn a_long_detail_stays_json_within_its_bound() {
    let mut verdict = verdict();
    verdict.failure = verdict
        .failure
        .with_detail(json!({"text": "\"".repeat(9_000)}));
    let written = pairs(&headers(&record(&[]), &verdict, Extent::Whole));
    let (_, detail) = written
        .iter()
        .find(|(name, _)| name == ERROR_DETAIL)
        .unwrap();
    let detail = detail.clone().unwrap();
    assert!(detail.len() <= DETAIL_MAX);
    serde_json::from_str::<Value>(&detail).unwrap();
}
