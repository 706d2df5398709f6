use super::*;

fn failure(result: Value, default_retry: bool) -> Failure {
    let Value::Object(result) = result else {
        unreachable!("tests give objects")
    };
    outcome(result, default_retry, &Redaction::default()).unwrap_err()
}

fn error_with(member: &str, error: Value) -> Value {
    let mut result = json!({"isError": true, "content": [{"type": "text", "text": "broken"}]});
    result[member] = match member {
        "_meta" => json!({ERROR_META_KEY: error}),
        _ => error,
    };
    result
}

#[test]
fn a_result_keeps_all_that_the_server_sent() {
    let Value::Object(raw) = json!({"content": [{"type": "image"}, {"type": "text", "text": "hi"}],
        "structuredContent": {"a": 1}, "isError": false, "resultType": "complete"})
    else {
        unreachable!()
    };
    let result = outcome(raw.clone(), false, &Redaction::default()).unwrap();
    assert_eq!(result.raw, raw);
    assert_eq!(result.content().len(), 2);
    assert_eq!(result.text(), Some("hi"));
    assert_eq!(result.structured_content(), Some(&json!({"a": 1})));
}

#[test]
fn a_tool_error_says_itself_whether_to_try_again() {
    let ours = json!({"code": "launch-busy", "retryable": true, "retryAfterMs": 250});
    for member in ["_meta", "structuredContent"] {
        let failure = failure(error_with(member, ours.clone()), false);
        assert_eq!(failure.code, ErrorCode::LaunchBusy);
        assert_eq!(failure.message, "broken");
        assert_eq!(failure.retry_after, Some(Duration::from_millis(250)));
    }
    for (said, code) in [
        (json!({"retryable": true}), ErrorCode::ToolUnavailable),
        (json!({"retryable": false}), ErrorCode::ToolFailed),
        (
            json!({"code": 42, "retryable": true}),
            ErrorCode::ToolUnavailable,
        ),
        (json!({"code": "launch-denied"}), ErrorCode::LaunchDenied),
    ] {
        assert_eq!(
            failure(error_with("structuredContent", said.clone()), false).code,
            code,
            "{said}"
        );
    }
}

#[test]
fn an_error_that_says_neither_is_permanent_unless_set_otherwise() {
    for said in [
        json!({}),
        json!({"code": "quota"}),
        json!("text"),
        json!(null),
    ] {
        let result = error_with("structuredContent", said);
        assert_eq!(failure(result.clone(), false).code, ErrorCode::ToolFailed);
        assert_eq!(failure(result, true).code, ErrorCode::ToolUnavailable);
    }
}

#[test]
fn a_tool_cannot_stop_a_worker_or_speak_for_its_server() {
    for (code, retryable, seen) in [
        ("broker-fenced", false, ErrorCode::ToolFailed),
        ("unauthorized", false, ErrorCode::ToolFailed),
        ("server-unreachable", true, ErrorCode::ToolUnavailable),
    ] {
        let failure = failure(
            error_with("_meta", json!({"code": code, "retryable": retryable})),
            false,
        );
        assert_eq!(failure.code, seen);
        assert_eq!(failure.detail.unwrap()["toolCode"], code);
    }
}

#[test]
fn other_kinds_of_result_are_failures() {
    for (result, code) in [
        (
            json!({"resultType": "input_required", "inputRequests": {}}),
            ErrorCode::InputRequired,
        ),
        (json!({"resultType": "task"}), ErrorCode::UnsupportedVersion),
        (json!({"content": "text"}), ErrorCode::InvalidAnswer),
    ] {
        assert_eq!(failure(result.clone(), true).code, code, "{result}");
    }
}

#[test]
fn a_detail_is_bounded() {
    let detail = "x".repeat(DETAIL_MAX * 2);
    let said = json!({"code": "quota", "retryable": false, "detail": detail});
    let kept = failure(error_with("_meta", said), false).detail.unwrap();
    assert!(kept.to_string().len() < DETAIL_MAX + 100);
}

#[test]
fn a_result_is_read_as_the_tools_own_type() {
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Sum {
        sum: u8,
    }
    let read = |structured: Option<Value>| {
        let mut raw = Map::new();
        raw.extend(structured.map(|value| ("structuredContent".to_owned(), value)));
        CallToolResult { raw }.output::<Sum>()
    };
    assert_eq!(read(Some(json!({"sum": 3}))), Ok(Sum { sum: 3 }));
    for bad in [None, Some(json!({})), Some(json!({"sum": "hunter2"}))] {
        let failure = read(bad).unwrap_err();
        assert_eq!(failure.code, ErrorCode::InvalidAnswer);
        assert!(!failure.message.contains("hunter2"), "{failure}");
    }
}
