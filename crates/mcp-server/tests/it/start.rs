use crate::server::{PATIENCE, Server};

async fn refusal(variables: &[(&str, &str)]) -> String {
    let mut process = Server::builder()
        .env("PORT", 0)
        .envs(variables.iter().copied())
        .start();
    let status = process.wait_exit(PATIENCE).await;
    assert_eq!(status.code(), Some(1), "{variables:?}");
    // The pipe may be read a moment after the end.
    process.wait_for_line("mcp-server: ", PATIENCE).await;
    let printed = process.output();
    assert_eq!(printed.len(), 1, "one line: {printed:?}");
    printed[0].clone()
}

#[tokio::test]
async fn a_bad_variable_stops_the_start_with_one_line() {
    for (name, value) in [
        ("PORT", "eighty"),
        ("BIND", "0.0.0.0"),
        ("MCP_AUTH", "open"),
        ("MCP_LAUNCH_POLICY", "/no/such/file"),
        ("MCP_ALLOWED_COMMANDS", "no-such-program"),
        ("MCP_ALLOWED_COMMAND", "sh"),
        ("MCP_SANDBOX", "off"),
        ("MCP_API_KEYS_FILE", "/no/such/file"),
        ("REDIS_URL", "localhost:6379"),
        ("MCP_TLS_CERT_FILE", "/no/such/file"),
        ("MCP_IDEMPOTENCY_TTL_M", "1"),
        ("MCP_DRAIN_MS", "-1"),
        ("LOG_FORMAT", "yaml"),
    ] {
        let line = refusal(&[(name, value)]).await;
        assert!(line.contains(name), "{line}");
    }
    let line = refusal(&[("MCP_ALLOWED_COMMANDS", "sh"), ("MCP_LAUNCH_POLICY", "/x")]).await;
    assert!(line.contains("MCP_ALLOWED_COMMANDS"), "{line}");
}

#[tokio::test]
async fn a_mistake_in_the_policy_file_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, "[[command]]\nname = \"sh\"\nargz = []\n").unwrap();
    let line = refusal(&[("MCP_LAUNCH_POLICY", file.to_str().unwrap())]).await;
    assert!(line.contains("line 3") && line.contains("argz"), "{line}");
}

#[tokio::test]
async fn help_teaches_the_variables() {
    let mut process = Server::builder().arg("--help").start();
    assert!(process.wait_exit(PATIENCE).await.success());
    for name in [
        "BIND",
        "PORT",
        "MCP_AUTH",
        "MCP_API_KEYS_FILE",
        "MCP_AUDIT_LOG",
        "MCP_CONNECTION_MAX_AGE_MS",
        "MCP_IDEMPOTENCY_LEASE_MS",
        "MCP_IDEMPOTENCY_MAX_BYTES",
        "MCP_IDEMPOTENCY_MAX_ENTRIES",
        "MCP_IDEMPOTENCY_TTL_MS",
        "MCP_KEY_BURST",
        "MCP_KEY_CONCURRENCY",
        "MCP_KEY_RATE",
        "MCP_KEY_STREAMS",
        "MCP_MAX_BODY_BYTES",
        "MCP_MAX_BODY_BYTES_IN_FLIGHT",
        "MCP_MAX_CONNECTIONS",
        "MCP_MAX_IN_FLIGHT",
        "MCP_SANDBOX",
        "MCP_TLS_CERT_FILE",
        "MCP_TLS_CLIENT_CA_FILE",
        "MCP_TLS_KEY_FILE",
        "MCP_TOOL_TIMEOUT_MS",
        "REDIS_URL",
        "MCP_ALLOWED_HOSTS",
        "MCP_ALLOWED_ORIGINS",
        "MCP_LAUNCH_POLICY",
        "MCP_ALLOWED_COMMANDS",
        "MCP_ENV_DIR",
        "MCP_WORK_DIR",
        "MCP_DRAIN_MS",
        "LOG_FORMAT",
    ] {
        process.wait_for_line(name, PATIENCE).await;
    }
}
