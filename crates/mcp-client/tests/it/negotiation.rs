//! Which era is spoken, and what is remembered of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use mcp_core::ErrorCode;
use serde_json::{Value, json};

use crate::stub::{Reply, Seen, Stub, call, said};

/// A legacy server, without sessions, that answers a modern request with `refusal`.
fn legacy(refusal: fn(&Seen) -> Reply) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    move |seen| match seen.method().as_str() {
        _ if seen.is_modern() => refusal(seen),
        "initialize" => Reply::result(
            seen,
            json!({"protocolVersion": "2025-06-18", "capabilities": {}}),
        ),
        "tools/call" => Reply::result(seen, said("legacy")),
        _ => Reply::text(202, ""),
    }
}

/// A server with sessions: only those in `open` are known to it.
fn with_sessions(
    open: Arc<AtomicUsize>,
    refusal: fn(&Seen) -> Reply,
) -> impl Fn(&Seen) -> Reply + Send + Sync {
    move |seen| {
        let current = open.load(Ordering::SeqCst).to_string();
        match (seen.method().as_str(), seen.header("mcp-session-id")) {
            ("initialize", None) => {
                let id = (open.fetch_add(1, Ordering::SeqCst) + 1).to_string();
                let result = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
                Reply::result(seen, result).with("mcp-session-id", &id)
            }
            (_, None) => refusal(seen),
            (_, Some(id)) if id != current => Reply::error(404, seen, -32001, "Session not found"),
            ("tools/call", _) => Reply::result(seen, said("session")),
            _ => Reply::text(202, ""),
        }
    }
}

#[tokio::test]
async fn a_modern_server_is_asked_once_a_call() {
    let stub = Stub::start(|seen| Reply::result(seen, said("modern"))).await;
    let client = stub.client();
    call(&client).await.unwrap();
    call(&client).await.unwrap();
    assert_eq!(stub.eras(), ["+tools/call", "+tools/call"]);
}

#[tokio::test]
async fn a_legacy_server_is_recognised_and_remembered() {
    let refusals: [fn(&Seen) -> Reply; 5] = [
        |_| Reply::text(400, "Bad Request: Unsupported protocol version"),
        |seen| Reply::error(400, seen, -32000, "Bad Request: Server not initialized"),
        |_| Reply::text(422, "Unexpected message, expect initialize request"),
        |_| Reply::text(400, ""),
        |seen| {
            let error = json!({"code": -32022, "message": "no", "data": {"supported": ["2025-11-25", "2025-06-18"]}});
            Reply::json(
                400,
                json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error}),
            )
        },
    ];
    for refusal in refusals {
        let stub = Stub::start(legacy(refusal)).await;
        let client = stub.client();
        for _ in 0..2 {
            assert_eq!(call(&client).await.unwrap().text(), Some("legacy"));
        }
        assert_eq!(
            stub.eras(),
            [
                "+tools/call",
                "-initialize",
                "-notifications/initialized",
                "-tools/call",
                "-tools/call"
            ]
        );
        let last = stub.seen().pop().unwrap();
        assert_eq!(last.header("mcp-protocol-version"), Some("2025-06-18"));
    }
}

#[tokio::test]
async fn a_refusal_that_means_the_request_is_not_sent_as_a_second_call() {
    let stub = Stub::start(|_| Reply::text(400, "no")).await;
    let client = stub.client();
    for _ in 0..2 {
        let failure = call(&client).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::RequestRejected);
        assert!(failure.message.ends_with("no"), "{}", failure.message);
    }
    let calls = stub
        .methods()
        .into_iter()
        .filter(|method| method == "tools/call")
        .count();
    assert_eq!(calls, 2);
}

#[tokio::test]
async fn a_400_from_a_server_known_to_be_modern_is_the_answer() {
    let bad = Arc::new(AtomicBool::new(false));
    let is_bad = Arc::clone(&bad);
    let stub = Stub::start(move |seen| match is_bad.load(Ordering::SeqCst) {
        true => Reply::text(400, "no"),
        false => Reply::result(seen, said("modern")),
    })
    .await;
    let client = stub.client();
    call(&client).await.unwrap();
    bad.store(true, Ordering::SeqCst);
    assert_eq!(
        call(&client).await.unwrap_err().code,
        ErrorCode::RequestRejected
    );
    assert_eq!(stub.eras(), ["+tools/call", "+tools/call"]);
}

#[tokio::test]
async fn a_server_of_both_eras_that_refuses_a_call_stays_modern() {
    let bad = Arc::new(AtomicBool::new(true));
    let is_bad = Arc::clone(&bad);
    let stub = Stub::start(move |seen| match seen.method().as_str() {
        "initialize" => Reply::result(
            seen,
            json!({"protocolVersion": "2025-11-25", "capabilities": {}}),
        ),
        "tools/call" if is_bad.load(Ordering::SeqCst) => Reply::text(400, "no"),
        "tools/call" => Reply::result(seen, said("hi")),
        _ => Reply::text(202, ""),
    })
    .await;
    let client = stub.client();
    assert_eq!(
        call(&client).await.unwrap_err().code,
        ErrorCode::RequestRejected
    );
    bad.store(false, Ordering::SeqCst);
    call(&client).await.unwrap();
    assert_eq!(stub.eras().last().unwrap(), "+tools/call");
}

#[tokio::test]
async fn neither_side_speaking_a_version_of_the_other_says_what_each_speaks() {
    let stub = Stub::start(|seen| {
        let error = json!({"code": -32022, "message": "no", "data": {"supported": ["2031-01-01"]}});
        Reply::json(
            400,
            json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error}),
        )
    })
    .await;
    let failure = call(&stub.client()).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::UnsupportedVersion);
    assert!(
        failure.message.contains("2031-01-01") && failure.message.contains("2026-07-28"),
        "{failure}"
    );
    assert_eq!(stub.methods(), ["tools/call"]);
}

#[tokio::test]
async fn an_offer_of_the_same_version_is_taken_once() {
    let stub = Stub::start(|seen| {
        let error = json!({"code": -32022, "message": "no", "data": {"supported": ["2026-07-28"]}});
        Reply::json(
            400,
            json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error}),
        )
    })
    .await;
    assert_eq!(
        call(&stub.client()).await.unwrap_err().code,
        ErrorCode::UnsupportedVersion
    );
    assert_eq!(stub.eras(), ["+tools/call", "+tools/call"]);
}

#[tokio::test]
async fn a_session_is_made_once_sent_along_and_ended() {
    let stub = Stub::start(with_sessions(Arc::default(), |seen| {
        Reply::error(
            400,
            seen,
            -32000,
            "Bad Request: Mcp-Session-Id header is required",
        )
    }))
    .await;
    let client = stub.client();
    call(&client).await.unwrap();
    call(&client).await.unwrap();
    client.close(Duration::from_secs(20)).await;
    let sessions: Vec<_> = stub
        .seen()
        .iter()
        .map(|s| (s.method(), s.header("mcp-session-id").map(str::to_owned)))
        .collect();
    let one = || Some("1".to_owned());
    assert_eq!(
        sessions,
        [
            ("tools/call".into(), None),
            ("initialize".into(), None),
            ("notifications/initialized".into(), one()),
            ("tools/call".into(), one()),
            ("tools/call".into(), one()),
            ("DELETE".into(), one()),
        ]
    );
}

#[tokio::test]
async fn a_lost_session_is_replaced_and_the_call_repeated() {
    let open = Arc::new(AtomicUsize::new(0));
    let stub = Stub::start(with_sessions(Arc::clone(&open), |_| {
        Reply::text(400, "No valid session ID provided")
    }))
    .await;
    let client = stub.client();
    call(&client).await.unwrap();
    open.store(100, Ordering::SeqCst);
    assert_eq!(call(&client).await.unwrap().text(), Some("session"));
    assert_eq!(
        stub.methods()[4..],
        [
            "tools/call",
            "initialize",
            "notifications/initialized",
            "tools/call"
        ]
    );
    assert_eq!(
        stub.seen().pop().unwrap().header("mcp-session-id"),
        Some("101")
    );
}

#[tokio::test]
async fn many_first_calls_at_once_make_one_session() {
    let stub = Stub::start(with_sessions(Arc::default(), |_| {
        Reply::text(400, "Missing session ID")
    }))
    .await;
    let client = stub.client();
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { call(&client).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().text(), Some("session"));
    }
    let handshakes = stub
        .methods()
        .into_iter()
        .filter(|method| method == "initialize")
        .count();
    assert_eq!(handshakes, 1);
}

#[tokio::test]
async fn a_server_that_changes_its_era_is_followed() {
    let upgraded = Arc::new(AtomicBool::new(false));
    let is_upgraded = Arc::clone(&upgraded);
    let old = legacy(|_| Reply::text(400, "Unsupported protocol version"));
    let stub = Stub::start(move |seen| {
        match (is_upgraded.load(Ordering::SeqCst), seen.is_modern()) {
            (false, _) => old(seen),
            (true, true) => Reply::result(seen, said("modern")),
            (true, false) => {
                let error =
                    json!({"code": -32022, "message": "no", "data": {"supported": ["2026-07-28"]}});
                Reply::json(
                    400,
                    json!({"jsonrpc": "2.0", "id": seen.json()["id"], "error": error}),
                )
            }
        }
    })
    .await;
    let client = stub.client();
    for (state, text) in [
        (false, "legacy"),
        (true, "modern"),
        (true, "modern"),
        (false, "legacy"),
    ] {
        upgraded.store(state, Ordering::SeqCst);
        assert_eq!(call(&client).await.unwrap().text(), Some(text));
    }
}

#[tokio::test]
async fn a_handshake_that_fails_in_passing_is_the_failure() {
    let stub = Stub::start(|seen| match seen.method().as_str() {
        "initialize" => Reply::text(503, "starting").with("retry-after", "2"),
        _ => Reply::text(400, "Server not initialized"),
    })
    .await;
    let failure = call(&stub.client()).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::ServerUnavailable);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(2)));
}

#[tokio::test]
async fn a_handshake_that_ends_in_an_unknown_version_is_no_session() {
    let stub = Stub::start(|seen| match seen.method().as_str() {
        "initialize" => Reply::result(
            seen,
            json!({"protocolVersion": "1999-01-01", "capabilities": Value::Null}),
        ),
        _ => Reply::text(400, "Server not initialized"),
    })
    .await;
    assert_eq!(
        call(&stub.client()).await.unwrap_err().code,
        ErrorCode::RequestRejected
    );
}
