//! Every answer becomes one code.

use std::time::{Duration, SystemTime};

use indexmap::IndexMap;
use mcp_client::ToolCall;
use mcp_core::{Class, ErrorCode, Secret};
use serde_json::{Map, json};

use crate::stub::{Reply, Stub, call, failure_of, said};

#[tokio::test]
async fn every_status_has_its_code_and_class() {
    for (status, code, class) in [
        (400, ErrorCode::RequestRejected, Class::Permanent),
        (401, ErrorCode::Unauthorized, Class::Permanent),
        (403, ErrorCode::Forbidden, Class::Permanent),
        (404, ErrorCode::EndpointNotFound, Class::Permanent),
        (405, ErrorCode::EndpointNotFound, Class::Permanent),
        (408, ErrorCode::TryAgain, Class::Transient),
        (413, ErrorCode::RequestRejected, Class::Permanent),
        (415, ErrorCode::RequestRejected, Class::Permanent),
        (422, ErrorCode::RequestRejected, Class::Permanent),
        (425, ErrorCode::TryAgain, Class::Transient),
        (429, ErrorCode::RateLimited, Class::Transient),
        (500, ErrorCode::ServerError, Class::Transient),
        (502, ErrorCode::ServerUnavailable, Class::Transient),
        (503, ErrorCode::ServerUnavailable, Class::Transient),
        (504, ErrorCode::ServerUnavailable, Class::Transient),
    ] {
        let failure = failure_of(move |_| Reply::text(status, "because")).await;
        assert_eq!((failure.code, failure.class()), (code, class), "{status}");
        let message = &failure.message;
        assert!(
            message.contains(&status.to_string()) && message.contains("because"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_json_rpc_error_makes_the_status_more_precise() {
    for (status, rpc, code) in [
        (200, -32603, ErrorCode::ServerError),
        (200, -32602, ErrorCode::InvalidArguments),
        (200, -32601, ErrorCode::RequestRejected),
        (200, -32600, ErrorCode::RequestRejected),
        (400, -32602, ErrorCode::InvalidArguments),
        (400, -32021, ErrorCode::RequestRejected),
        (404, -32601, ErrorCode::RequestRejected),
        (503, -32602, ErrorCode::ServerUnavailable),
    ] {
        let failure = failure_of(move |seen| Reply::error(status, seen, rpc, "because")).await;
        assert_eq!(failure.code, code, "{status} {rpc}");
        assert!(failure.message.contains("because"), "{}", failure.message);
        assert_eq!(failure.detail.unwrap()["jsonRpcCode"], rpc);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_mcp_is_invalid() {
    for body in [
        "<html>",
        "{}",
        "[]",
        "null",
        "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}",
        "",
    ] {
        let failure = failure_of(move |_| {
            Reply::Http(
                200,
                vec![("content-type", "application/json".into())],
                body.into(),
            )
        })
        .await;
        assert_eq!(failure.code, ErrorCode::InvalidAnswer, "{body}");
    }
    let accepted = failure_of(|_| Reply::text(202, "")).await;
    assert_eq!(accepted.code, ErrorCode::InvalidAnswer);
    let events = failure_of(|_| Reply::events("data: <html>\n\n")).await;
    assert_eq!(events.code, ErrorCode::InvalidAnswer);
    let deep = "[".repeat(100_000);
    let deep = failure_of(move |_| Reply::text(200, &deep)).await;
    assert_eq!(deep.code, ErrorCode::InvalidAnswer);
}

#[tokio::test]
async fn tool_results_are_told_apart() {
    let stub = Stub::start(|seen| {
        Reply::result(
            seen,
            json!({"isError": true, "content": [{"type": "text", "text": "no disk"}]}),
        )
    })
    .await;
    let failure = call(&stub.client()).await.unwrap_err();
    assert_eq!(
        (failure.code, failure.message.as_str()),
        (ErrorCode::ToolFailed, "no disk")
    );
    let lenient = stub.build(|b| b.tool_error_default_retry(true));
    assert_eq!(
        call(&lenient).await.unwrap_err().code,
        ErrorCode::ToolUnavailable
    );

    let asks = failure_of(|seen| {
        Reply::result(
            seen,
            json!({"resultType": "input_required", "inputRequests": {}}),
        )
    })
    .await;
    assert_eq!(asks.code, ErrorCode::InputRequired);
}

#[tokio::test]
async fn an_answer_larger_than_allowed_is_not_read_to_its_end() {
    let big = "x".repeat(100_000);
    for events in [false, true] {
        let big = big.clone();
        let stub = Stub::start(move |seen| match events {
            true => Reply::events(&format!(": {big}\n\n")),
            false => Reply::result(seen, said(&big)),
        })
        .await;
        let client = stub.build(|b| b.answer_max_bytes(10_000));
        let failure = call(&client).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::AnswerTooLarge);
        assert!(failure.message.contains("10000"), "{}", failure.message);
    }
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms() {
    let seconds = failure_of(|_| Reply::text(429, "").with("retry-after", "7")).await;
    assert_eq!(seconds.retry_after, Some(Duration::from_secs(7)));

    let date = failure_of(|_| {
        let now: SystemTime = mcp_core::Clock::System.now().into();
        let at = httpdate::fmt_http_date(now + Duration::from_secs(3_600));
        Reply::text(503, "").with("retry-after", &at)
    })
    .await;
    let wait = date.retry_after.unwrap();
    assert!(
        wait > Duration::from_secs(3_000) && wait <= Duration::from_secs(3_600),
        "{wait:?}"
    );

    let permanent = failure_of(|_| Reply::text(403, "").with("retry-after", "7")).await;
    assert_eq!(permanent.retry_after, None);
}

#[tokio::test]
async fn a_redirect_is_refused_and_not_followed() {
    let elsewhere = Stub::start(|seen| Reply::result(seen, said("stolen"))).await;
    let to = format!("http://127.0.0.1:{}/mcp?token=hunter2", elsewhere.port);
    let stub = Stub::start(move |_| Reply::text(307, "").with("location", &to)).await;
    let client = stub.build(|b| b.api_key(Some(Secret::new("k1"))));
    let failure = call(&client).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::RequestRejected);
    assert!(failure.message.contains("redirect"), "{}", failure.message);
    assert!(!failure.message.contains("hunter2"), "{}", failure.message);
    assert_eq!(elsewhere.methods(), [""; 0]);
}

#[tokio::test]
async fn what_the_server_quotes_back_holds_no_secret() {
    let stub = Stub::start(|seen| match seen.json()["params"]["arguments"]["how"].as_str() {
        Some("status") => Reply::text(400, &format!("{} {}", seen.head, seen.body)),
        Some("html") => Reply::text(200, &format!("{} {}", seen.head, seen.body)),
        Some("rpc") => Reply::error(200, seen, -32602, &format!("{} {}", seen.head, seen.body)),
        _ => Reply::result(
            seen,
            json!({"isError": true, "content": [{"type": "text", "text": seen.body}],
                "_meta": {"io.mcp-hybrid/error": {"code": "x", "retryable": false, "detail": [seen.head, seen.body]}}}),
        ),
    })
    .await;
    let headers = IndexMap::from([("x-key".to_owned(), Secret::new("swordfish-header"))]);
    let client = stub.build(|b| {
        b.api_key(Some(Secret::new("swordfish-key")))
            .headers(headers)
    });
    for how in ["status", "html", "rpc", "tool"] {
        let arguments = json!({"how": how, "env": {"DB_PASSWORD": "swordfish-\"env\""}, "headers": {"a": "swordfish-arg"}});
        let failure = client
            .call_tool(ToolCall {
                tool: "server_initialize",
                arguments: arguments.as_object().unwrap(),
                idempotency_key: None,
                trace: &[],
                timeout: Duration::from_secs(20),
            })
            .await
            .unwrap_err();
        let shown = format!(
            "{failure} {failure:?} {}",
            failure.detail.clone().unwrap_or_default()
        );
        assert!(!shown.contains("swordfish"), "{shown}");
        assert!(shown.contains("[secret]"), "{shown}");
    }
}

#[tokio::test]
async fn a_result_without_content_is_a_success() {
    let stub = Stub::start(|seen| Reply::result(seen, json!({}))).await;
    assert_eq!(call(&stub.client()).await.unwrap().raw, Map::new());
}
