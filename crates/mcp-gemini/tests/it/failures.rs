//! Every way to fail, over the wire, and what it means.

use std::time::Duration;

use mcp_core::{Class, ErrorCode, Failure, Secret};
use mcp_gemini::GeminiConfig;
use mcp_testkit::{FakeGemini, GeminiReply, free_port};
use serde_json::json;

use crate::{PATIENCE, ask, config};

/// The failure that a caller of the tool is told.
async fn failure(reply: GeminiReply) -> Failure {
    let gemini = FakeGemini::always(reply).await;
    let error = ask(config(&gemini), PATIENCE).await.unwrap_err();
    assert_eq!(gemini.calls().len(), 1, "nothing is tried again here");
    error.into()
}

#[tokio::test]
async fn every_answer_that_is_none_has_its_code() {
    use ErrorCode::*;
    let table = [
        (GeminiReply::quota_a_minute("46s"), ProviderBusy, "a minute"),
        (GeminiReply::exhausted(), ProviderBusy, "no room"),
        (GeminiReply::quota_a_day(), ProviderQuota, "midnight"),
        (
            GeminiReply::no_quota(),
            ProviderNoQuota,
            "no quota for GEMINI_MODEL",
        ),
        (
            GeminiReply::error(500, "INTERNAL", "An internal error has occurred."),
            ProviderUnavailable,
            "HTTP 500: An internal",
        ),
        (
            GeminiReply::overloaded(),
            ProviderUnavailable,
            "HTTP 503: The model is overloaded",
        ),
        (
            GeminiReply::error(504, "DEADLINE_EXCEEDED", "Deadline expired"),
            ProviderUnavailable,
            "HTTP 504",
        ),
        (
            GeminiReply::error(400, "INVALID_ARGUMENT", "Unknown name \"x\""),
            ProviderRefused,
            "GEMINI_THINKING_LEVEL",
        ),
        (
            GeminiReply::error(400, "FAILED_PRECONDITION", "User location is not supported"),
            ProviderRefused,
            "billing",
        ),
        (
            GeminiReply::error(403, "PERMISSION_DENIED", "no permission"),
            ProviderRefused,
            "GEMINI_API_KEY",
        ),
        (
            GeminiReply::error(404, "NOT_FOUND", "models/x is not found"),
            ProviderRefused,
            "GEMINI_MODEL",
        ),
        (
            GeminiReply::error(302, "", ""),
            ProviderRefused,
            "GEMINI_BASE_URL",
        ),
        (
            GeminiReply::blocked("PROHIBITED_CONTENT"),
            ContentBlocked,
            "the prompt: PROHIBITED_CONTENT",
        ),
        (
            GeminiReply::stopped("SAFETY"),
            ContentBlocked,
            "the answer: SAFETY",
        ),
        (
            GeminiReply::stopped("RECITATION"),
            ContentBlocked,
            "the answer: RECITATION",
        ),
        (
            GeminiReply::finished("OTHER", "{}"),
            ContentBlocked,
            "OTHER",
        ),
        (
            GeminiReply::finished("MAX_TOKENS", "{\"svg\": \"<svg><pa"),
            OutputTruncated,
            "GEMINI_MAX_OUTPUT_TOKENS",
        ),
        (
            GeminiReply::finished("MALFORMED_RESPONSE", ""),
            OutputMissing,
            "MALFORMED_RESPONSE",
        ),
        (
            GeminiReply::finished("STOP", ""),
            OutputMissing,
            "without text",
        ),
        (GeminiReply::empty(), OutputMissing, "no candidate"),
        (
            GeminiReply::raw("{\"candidates\": [{"),
            ProviderUnavailable,
            "no answer of generateContent",
        ),
        (
            GeminiReply::raw("<html>sign in</html>"),
            ProviderUnavailable,
            "no answer of generateContent",
        ),
        (
            GeminiReply::raw(" ".repeat(5 << 20)),
            AnswerTooLarge,
            "more than 4194304 bytes",
        ),
        (GeminiReply::Reset, ProviderUnavailable, "broke"),
    ];
    for (reply, code, said) in table {
        let shown = format!("{reply:?}");
        let shown = &shown[..shown.len().min(200)];
        let failure = failure(reply).await;
        assert_eq!(failure.code, code, "{shown}: {failure}");
        assert!(failure.message.contains(said), "{shown}: {failure}");
    }
}

#[tokio::test]
async fn the_three_kinds_of_429_are_told_apart() {
    let minute = failure(GeminiReply::quota_a_minute("46.268s")).await;
    assert_eq!(minute.class(), Class::Transient);
    assert_eq!(minute.retry_after, Some(Duration::from_millis(46_268)));
    let id = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";
    assert_eq!(
        minute.detail,
        Some(json!({"quota": "minute", "quotaId": id}))
    );
    for (reply, kind) in [
        (GeminiReply::quota_a_day(), "day"),
        (GeminiReply::no_quota(), "none"),
    ] {
        let failure = failure(reply).await;
        assert_eq!(failure.class(), Class::Permanent);
        assert_eq!(failure.retry_after, None, "its RetryInfo is of no use");
        assert_eq!(failure.detail.unwrap()["quota"], kind);
    }
}

#[tokio::test]
async fn a_slow_answer_ends_with_its_time() {
    let gemini = FakeGemini::always(GeminiReply::Hang).await;
    let error = ask(config(&gemini), Duration::from_millis(200)).await;
    let failure: Failure = error.unwrap_err().into();
    assert_eq!(failure.code, ErrorCode::ProviderUnavailable);
    assert!(failure.message.contains("within 200 ms"), "{failure}");
}

#[tokio::test]
async fn nobody_at_the_address_is_transient() {
    let config = GeminiConfig {
        base_url: format!("http://127.0.0.1:{}", free_port()).parse().unwrap(),
        ..GeminiConfig::new(Secret::new(FakeGemini::KEY))
    };
    let failure: Failure = ask(config, PATIENCE).await.unwrap_err().into();
    assert_eq!(failure.code, ErrorCode::ProviderUnavailable);
    assert!(failure.message.starts_with("cannot connect"), "{failure}");
}

#[tokio::test]
async fn a_wrong_key_is_named_as_such_and_never_shown() {
    let gemini = FakeGemini::always(GeminiReply::empty()).await;
    let wrong = GeminiConfig {
        api_key: Secret::new("AIza-wrong"),
        ..config(&gemini)
    };
    let failure: Failure = ask(wrong, PATIENCE).await.unwrap_err().into();
    assert_eq!(failure.code, ErrorCode::ProviderRefused);
    assert!(
        failure.message.contains("check GEMINI_API_KEY"),
        "{failure}"
    );
    assert_eq!(
        failure.detail.as_ref().unwrap()["reason"],
        "API_KEY_INVALID"
    );
    let said =
        "Permission denied: Consumer 'api_key:AIzaSyFAKE-key_of-the-tests' has been suspended.";
    let suspended = GeminiReply::error(403, "PERMISSION_DENIED", said);
    for failure in [failure, self::failure(suspended).await] {
        let all = format!("{failure} {failure:?}");
        assert!(!all.contains("AIza"), "{all}");
    }
}

#[tokio::test]
async fn a_model_that_does_not_exist_is_named_as_such() {
    let gemini = FakeGemini::always(GeminiReply::empty()).await;
    let old = GeminiConfig {
        model: "gemini-1.0-ultra".parse().unwrap(),
        ..config(&gemini)
    };
    let failure: Failure = ask(old, PATIENCE).await.unwrap_err().into();
    assert_eq!(failure.code, ErrorCode::ProviderRefused);
    assert!(
        failure
            .message
            .contains("models/gemini-1.0-ultra is not found"),
        "{failure}"
    );
}
