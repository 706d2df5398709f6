use mcp_testkit::{Process, free_port};

use crate::worker::{SOON, WorkerBuilder};

/// Starts with these variables besides the required one: the exit code and what was printed.
async fn refused(variables: &[(&str, &str)]) -> (Option<i32>, Vec<String>) {
    let mut worker = WorkerBuilder::bare().var("KAFKA_BROKERS", "127.0.0.1:9");
    for (name, value) in variables {
        worker = worker.var(name, value);
    }
    let mut process = worker.process();
    let status = process.wait_exit(SOON).await;
    // The exit may be seen before the last line has been read.
    process.wait_for_line("kafka-worker: ", SOON).await;
    (status.code(), process.output())
}

#[tokio::test]
async fn a_bad_variable_stops_the_start_with_one_line_that_says_what_is_allowed() {
    for (name, value, allowed) in [
        (
            "KAFKA_BROKERS",
            "nowhere",
            "a comma-separated list of host:port",
        ),
        ("KAFKA_TOPIC", "a b", "a topic name of 1 to 249 letters"),
        (
            "KAFKA_DLQ_TOPIC",
            "mcp-jobs",
            "a topic that KAFKA_TOPIC does not name",
        ),
        ("KAFKA_RESULT_TOPIC", "ü", "a topic name"),
        ("WORKER_CONCURRENCY", "0", "a whole number from 1 to 10000"),
        (
            "WORKER_ORDERING",
            "random",
            "one of key, partition, unordered",
        ),
        ("WORKER_MAX_ATTEMPTS", "many", "a whole number from 1"),
        ("WORKER_RETRY_BASE_MS", "-5", "milliseconds, from 1"),
        ("WORKER_RETRY_MAX_MS", "1", "WORKER_RETRY_BASE_MS or more"),
        ("WORKER_JOB_TIMEOUT_MS", "1s", "milliseconds, from 1"),
        ("WORKER_JOB_DEADLINE_MS", "0", "milliseconds, from 1"),
        ("WORKER_DRAIN_MS", "1.5", "milliseconds, from 0"),
        ("WORKER_TOOL_ERROR", "ignore", "one of dead-letter, retry"),
        ("ADMIN_PORT", "70000", "a whole number from 0 to 65535"),
        ("LOG_FORMAT", "xml", "one of text, json"),
        ("RUST_LOG", "=loud=", ""),
        ("MCP_API_KEY_FILE", "/no/such/file", "a readable file"),
        (
            "KAFKA_PROPERTY_SESSION_TIMEOUT_MS",
            "soon",
            "session.timeout.ms",
        ),
        (
            "KAFKA_PROPERTY_SESSION_TIMEOUT_MS",
            "-4",
            "allowed range 1..3600000",
        ),
        (
            "KAFKA_PROPERTY_SECURITY_PROTOCOL",
            "carrier-pigeon",
            "security.protocol",
        ),
    ] {
        let (code, lines) = refused(&[(name, value)]).await;
        assert_eq!(code, Some(1), "{name}");
        let [line] = &lines[..] else {
            panic!("{name}: not one line: {lines:#?}");
        };
        for part in [name, value, allowed] {
            assert!(line.contains(part), "{line:?} without {part:?}");
        }
    }
}

#[tokio::test]
async fn a_value_that_may_be_secret_is_not_shown() {
    for (name, value) in [
        ("MCP_SERVER_URL", "ftp://user:secret-word@host"),
        ("KAFKA_PROPERTY_NO_SUCH_THING", "secret-word"),
        ("KAFKA_PROPERTY_SASL_PASWORD", "secret-word"),
        (
            "KAFKA_PROPERTY_SSL_KEY_PASSWORD_FILE",
            "/no/such/secret-file",
        ),
        ("KAFKA_PROPERTY_ENABLE_AUTO_COMMIT", "secret-word"),
        ("KAFKA_PROPERTY_GROUP_ID", "secret-word"),
    ] {
        let (code, lines) = refused(&[(name, value)]).await;
        assert_eq!(code, Some(1), "{name}");
        let [line] = &lines[..] else {
            panic!("{name}: not one line: {lines:#?}");
        };
        assert!(line.contains(name), "{line:?} without {name:?}");
        assert!(!line.contains("secret-word"), "{line:?}");
    }
    let both = [("MCP_API_KEY", "secret-word"), ("MCP_API_KEY_FILE", "/x")];
    let (code, lines) = refused(&both).await;
    assert_eq!((code, lines.len()), (Some(1), 1));
    assert!(
        lines[0].contains("MCP_API_KEY_FILE is set too"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_variable_that_is_missing_or_unknown_stops_the_start() {
    let (code, lines) = refused(&[("KAFKA_BROKERS", "")]).await;
    assert_eq!((code, lines.len()), (Some(1), 1));
    assert!(lines[0].contains("KAFKA_BROKERS is not set"), "{lines:?}");

    let (code, lines) = refused(&[("WORKER_CONCURENCY", "8")]).await;
    assert_eq!((code, lines.len()), (Some(1), 1));
    assert!(
        lines[0].contains("did you mean WORKER_CONCURRENCY?"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn an_admin_port_that_is_taken_stops_the_start() {
    let port = free_port();
    let _holder = std::net::TcpListener::bind(("0.0.0.0", port)).expect("a free port");
    let (code, lines) = refused(&[("ADMIN_PORT", &port.to_string())]).await;
    assert_eq!((code, lines.len()), (Some(1), 1));
    assert!(
        lines[0].contains(&format!("ADMIN_PORT={port}")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn help_names_every_variable() {
    let run = async |argument| {
        let mut process = Process::builder(env!("CARGO_BIN_EXE_kafka-worker"))
            .arg(argument)
            .start();
        (process.wait_exit(SOON).await, process)
    };
    let (status, mut help) = run("--help").await;
    assert!(status.success());
    help.wait_for_line("Examples:", SOON).await;
    let text = help.output().join("\n");
    for name in [
        "KAFKA_BROKERS",
        "KAFKA_TOPIC",
        "MCP_CONSUMER_GROUP",
        "MCP_SERVER_URL",
        "MCP_API_KEY",
        "_FILE",
        "KAFKA_DLQ_TOPIC",
        "KAFKA_RESULT_TOPIC",
        "WORKER_CONCURRENCY",
        "WORKER_ORDERING",
        "WORKER_MAX_ATTEMPTS",
        "WORKER_RETRY_BASE_MS",
        "WORKER_RETRY_MAX_MS",
        "WORKER_JOB_TIMEOUT_MS",
        "WORKER_JOB_DEADLINE_MS",
        "WORKER_DRAIN_MS",
        "WORKER_DLQ_PER_MINUTE",
        "WORKER_WAITING_MAX",
        "WORKER_STALL_MS",
        "WORKER_TOOL_ERROR",
        "KAFKA_PROPERTY_",
        "ADMIN_PORT",
        "ADMIN_BIND",
        "OTEL_",
        "LOG_FORMAT",
        "RUST_LOG",
    ] {
        assert!(text.contains(name), "--help says nothing of {name}");
    }

    let (status, mut unknown) = run("--frobnicate").await;
    assert_eq!(status.code(), Some(2));
    unknown.wait_for_line("--frobnicate", SOON).await;
    let (status, mut version) = run("--version").await;
    assert!(status.success());
    version.wait_for_line("kafka-worker 0", SOON).await;
}

#[tokio::test]
async fn health_asks_the_worker_beside_it() {
    let port = free_port().to_string();
    let health = async |arguments: &[&str]| {
        let mut process = Process::builder(env!("CARGO_BIN_EXE_kafka-worker"))
            .args(arguments)
            .env("ADMIN_PORT", &port)
            .start();
        let status = process.wait_exit(SOON).await;
        process.wait_for_line("", SOON).await;
        (status.code(), process.output().join("\n"))
    };
    let (code, said) = health(&["health"]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("kafka-worker: /health: nothing answers at 127.0.0.1:"),
        "{said}"
    );

    let mut worker = WorkerBuilder::bare()
        .var("KAFKA_BROKERS", "127.0.0.1:9")
        .var("ADMIN_PORT", &port)
        .process();
    worker.wait_for_line("admin=", SOON).await;
    let (code, said) = health(&["health"]).await;
    assert_eq!((code, &*said), (Some(0), r#"{"status":"ok"}"#));
    let (code, said) = health(&["health", "--ready"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("503") && said.contains("group"), "{said}");
}
