use super::*;
use serde_json::json;

fn masked(value: &Value) -> Value {
    Mask::default().value(value.to_string().as_bytes())
}

#[test]
fn environments_and_headers_are_masked_whatever_their_names() {
    let servers = json!({"mcpServers": {
        "db": {"command": "uv", "args": ["run"], "env": {"PLAIN": "hunter2", "N": 5}, "envFile": "a/.env"},
        "api": {"type": "http", "url": "https://h/mcp", "headers": {"X-Any": "hunter3"}},
        "odd": {"command": "x", "env": ["A=hunter4"]},
    }});
    let shown = masked(&json!({"jobID": "a", "payload": servers.to_string()}));
    assert_eq!(
        shown["payload"]["mcpServers"],
        json!({
            "db": {"command": "uv", "args": ["run"], "env": {"PLAIN": "[secret]", "N": "[secret]"}, "envFile": "a/.env"},
            "api": {"type": "http", "url": "https://h/mcp", "headers": {"X-Any": "[secret]"}},
            "odd": {"command": "x", "env": ["[secret]"]},
        })
    );
}

#[test]
fn names_of_secrets_are_found_at_any_depth_and_in_json_in_strings() {
    let inner = json!({"deep": [{"client_secret": "s3cret", "note": "fine"}]}).to_string();
    let shown = masked(
        &json!({"arguments": {"apiKey": "k3y!", "X-Api-Key": 7, "list": [inner], "Cookie": null}}),
    );
    let arguments = &shown["arguments"];
    assert_eq!(
        (&arguments["apiKey"], &arguments["X-Api-Key"]),
        (&json!(MASK), &json!(MASK))
    );
    assert_eq!(arguments["Cookie"], Value::Null);
    assert_eq!(
        arguments["list"][0],
        json!(r#"{"deep":[{"client_secret":"[secret]","note":"fine"}]}"#)
    );
    let mut nested = json!({"password": "s3cret"});
    for _ in 0..10 {
        nested = json!({"a": nested.to_string()});
    }
    assert!(!masked(&nested).to_string().contains("s3cret"));
}

#[test]
fn flags_and_urls_lose_their_secrets() {
    let shown = masked(&json!({
        "args": ["--api-key", "abcd", "--token=efgh", "--user", "me", "postgres://u:p/w@db/x", "https://h/?a=1&token=ijkl&b=2"],
        "text": "Authorization: Bearer mnop, then PASSWORD=qrst; done",
    }));
    assert_eq!(
        shown["args"],
        json!([
            "--api-key",
            "[secret]",
            "--token=[secret]",
            "--user",
            "me",
            "postgres://[secret]@db/x",
            "https://h/?a=1&token=[secret]&b=2",
        ])
    );
    let text = shown["text"].to_string();
    for secret in ["mnop", "qrst"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("then") && text.contains("done"), "{text}");
}

#[test]
fn what_was_masked_once_is_masked_in_what_comes_later() {
    let mut mask = Mask::default();
    let value = json!({"env": {"A": "hunter2", "B": "Bearer swordfish", "C": "1"}});
    mask.value(value.to_string().as_bytes());
    assert_eq!(mask.text("1 hunter2 swordfish"), "1 [secret] [secret]");
    assert_eq!(mask.header("note", b"it said hunter2"), "it said [secret]");
    assert_eq!(mask.header("X-Auth-Token", b"abcd"), "[secret]");
    assert_eq!(
        mask.header("detail", br#"{"token":"abcd"}"#),
        r#"{"token":"[secret]"}"#
    );
    assert_eq!(mask.header("h", b"\xff\xfe"), "[2 bytes that are no UTF-8]");
}

#[test]
fn what_is_no_json_is_shown_only_when_nothing_in_it_looks_secret() {
    let shown = |text: &str| Mask::default().value(text.as_bytes());
    assert_eq!(shown("poison"), json!("poison"));
    for text in [
        r#"{"env":{"A":"hunter2""#,
        "PASSWORD is hunter2",
        r#"{"headers":"hunter2"}}"#,
        "Bearer hunter2",
    ] {
        assert!(!shown(text).to_string().contains("hunter2"), "{text}");
    }
    let broken = json!({"payload": r#"{"env":{"A":"hunter2""#});
    assert!(!masked(&broken).to_string().contains("hunter2"));
}

#[test]
fn any_text_is_taken() {
    for text in [
        "://",
        "://@",
        "=",
        "token=",
        "token=\"",
        "bearer ",
        "Bearer  x",
        "é://é@é",
        "tökén:é",
        "\\\":",
    ] {
        let mask = Mask::default();
        let _ = mask.text(text);
        let _ = mask.loose(text);
    }
}
