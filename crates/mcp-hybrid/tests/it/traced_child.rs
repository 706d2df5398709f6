//! One trace from the program that submits a job to the program that the job starts; and its id in every log line.

use std::fs;

use mcp_testkit::{Kafka, OtlpReceiver, Process, Span, fetched, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binaries;
use crate::pair::{SOON, data};

/// A server and a worker that log JSON, and the topics between them.
struct Traced {
    kafka: &'static Kafka,
    jobs: String,
    server: Process,
    worker: Process,
    _folder: TempDir,
}

impl Traced {
    /// Starts both, with `variables` besides their own.
    async fn start(name: &str, variables: &[(&str, String)]) -> Self {
        let kafka = Kafka::shared().await;
        let jobs = kafka.new_topic(name, 1, &[]).await;
        kafka.create_topic(&format!("{jobs}-dlq"), 1, &[]).await;
        kafka.create_topic(&format!("{jobs}-results"), 1, &[]).await;
        let folder = TempDir::with_prefix("mcp-hybrid-traced-").unwrap();
        let policy = folder.path().join("policy.toml");
        let (python, script) = (fetched::python(), script());
        let data = data();
        let command = format!(
            "[[command]]\nname = \"python\"\npath = {python:?}\nargs = [{script:?}]\nread = [{data:?}]\n"
        );
        fs::write(&policy, command).unwrap();
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let mut server = Process::builder(binaries::mcp_server())
            .env("PORT", port)
            .env("MCP_LAUNCH_POLICY", policy.display())
            .env("LOG_FORMAT", "json")
            .envs(variables.iter().cloned())
            .start();
        server.wait_ready(&base, SOON).await;
        let worker = Process::builder(binaries::kafka_worker())
            .env("KAFKA_BROKERS", kafka.bootstrap())
            .env("KAFKA_TOPIC", &jobs)
            .env("KAFKA_RESULT_TOPIC", format!("{jobs}-results"))
            .env("MCP_CONSUMER_GROUP", format!("group-of-{jobs}"))
            .env("MCP_SERVER_URL", &base)
            .env("ADMIN_PORT", 0)
            .env("LOG_FORMAT", "json")
            .envs(variables.iter().cloned())
            .start();
        Self {
            kafka,
            jobs,
            server,
            worker,
            _folder: folder,
        }
    }

    /// Submits a job of the command line's own that starts the program, with that id; the result of it.
    async fn run(&self, id: &str, variables: &[(&str, String)]) -> Value {
        let server = json!({"command": "python", "args": [script()]});
        let payload = json!({"mcpServers": {"child": server}}).to_string();
        let mut submit = Process::builder(env!("CARGO_BIN_EXE_mcp-hybrid"))
            .args(["job", "submit", "--brokers", &self.kafka.bootstrap()])
            .args(["--topic", &self.jobs, "--id", id, "--type", "server-init"])
            .args(["--payload", &payload])
            .envs(variables.iter().cloned())
            .start();
        let status = submit.wait_exit(SOON).await;
        assert!(status.success(), "{:?}", submit.output());
        let results = format!("{}-results", self.jobs);
        let result = self.kafka.read_until(&results, 1, SOON).await.remove(0);
        assert_eq!(result.json()["status"], "succeeded", "{}", result.text());
        result.json()
    }

    /// The trace context of the submitted record.
    async fn traceparent(&self) -> String {
        let record = self.kafka.read_all(&self.jobs).await.remove(0);
        record.header("traceparent").expect("a trace")
    }
}

fn script() -> String {
    let script = data().join("traced.py");
    script.to_str().unwrap().to_owned()
}

/// What the program was told: when it was started, when it was asked for its tools.
fn told(result: &Value) -> [String; 2] {
    let description = &result["result"]["child"]["tools"][0]["description"];
    let trace: Value = serde_json::from_str(description.as_str().unwrap()).unwrap();
    ["started", "asked"].map(|when| trace[when].as_str().unwrap_or_default().to_owned())
}

fn lines(process: &Process) -> Vec<Value> {
    let parse = |line: &String| {
        serde_json::from_str(line).unwrap_or_else(|_| panic!("a line is no JSON: {line}"))
    };
    process.output().iter().map(parse).collect()
}

/// Checks that what is logged about the job says whose it is and in which trace.
async fn assert_logged(traced: &mut Traced, id: &str, trace: &str) {
    traced.worker.wait_for_line("job succeeded", SOON).await;
    let of_job: Vec<_> = lines(&traced.worker)
        .into_iter()
        .filter(|line| line.get("job_id").is_some())
        .collect();
    assert!(!of_job.is_empty());
    for line in of_job {
        assert_eq!(
            (&line["job_id"], &line["trace_id"]),
            (&json!(id), &json!(trace)),
            "{line}"
        );
    }
    // The audit line is written last.
    traced
        .server
        .wait_for_line("\"audit\":\"call\"", SOON)
        .await;
    let key = format!("{}/{id}/child", traced.jobs);
    let served = lines(&traced.server);
    let started: Vec<_> = served
        .iter()
        .filter(|line| line["message"] == "starting a program")
        .collect();
    assert_eq!(started.len(), 1, "{served:?}");
    assert_eq!(started[0]["trace_id"], trace, "{}", started[0]);
    assert_eq!(started[0]["idempotency_key"], key, "{}", started[0]);
    let audited = served.iter().find(|line| line["audit"] == "call").unwrap();
    assert_eq!(
        (&audited["traceId"], &audited["idempotencyKey"]),
        (&json!(trace), &json!(key))
    );
}

#[tokio::test]
async fn one_trace_leads_from_the_producer_to_the_program_that_the_job_starts() {
    let collector = OtlpReceiver::start().await;
    let variables = collector.variables();
    let mut traced = Traced::start("traced-child", &variables).await;
    let result = traced.run("traced-job", &variables).await;
    let jobs = traced.jobs.clone();

    let chain = [
        ("mcp-hybrid", format!("send {jobs}"), "producer"),
        ("kafka-worker", format!("process {jobs}"), "consumer"),
        ("kafka-worker", "POST".to_owned(), "client"),
        ("mcp-server", "POST /message".to_owned(), "server"),
        (
            "mcp-server",
            "tools/call server_initialize".to_owned(),
            "server",
        ),
        ("mcp-server", "launch python".to_owned(), "client"),
    ];
    let mut found: Vec<Span> = Vec::new();
    for (service, name, kind) in &chain {
        let fits = |span: &Span| span.service == *service && span.name == *name;
        let span = collector
            .wait_span(&format!("{service} {name}"), SOON, fits)
            .await;
        assert_eq!(span.kind, *kind, "{span:#?}");
        if let Some(parent) = found.last() {
            assert_eq!(
                (&span.trace_id, &span.parent_id),
                (&parent.trace_id, &parent.span_id),
                "{span:#?} is no child of {parent:#?}"
            );
        }
        found.push(span);
    }
    let fits = |span: &Span| span.name == format!("receive {jobs}");
    let receive = collector.wait_span("receive", SOON, fits).await;
    assert_eq!(
        (receive.kind, &receive.parent_id),
        ("client", &found[0].span_id)
    );
    assert_eq!(receive.trace_id, found[0].trace_id);
    assert_eq!(receive.text("messaging.message.id"), "traced-job");
    assert_eq!(receive.text("messaging.operation.type"), "receive");
    let tool = &found[4];
    assert_eq!(tool.text("gen_ai.tool.name"), "server_initialize");
    assert_eq!(tool.text("mcp.method.name"), "tools/call");

    let launch = found.last().unwrap().traceparent();
    assert_eq!(told(&result), [launch.clone(), launch]);
    let trace = found[0].trace_id.clone();
    assert_logged(&mut traced, "traced-job", &trace).await;
}

#[tokio::test]
async fn without_a_collector_one_trace_id_still_runs_through_all_logs_and_to_the_program() {
    let mut traced = Traced::start("untraced-child", &[]).await;
    let result = traced.run("untraced-job", &[]).await;
    let traceparent = traced.traceparent().await;
    let trace = traceparent.split('-').nth(1).unwrap().to_owned();
    let [started, asked] = told(&result);
    assert!(started.contains(&trace), "{started} is not of {trace}");
    assert_eq!(started, asked);
    assert_logged(&mut traced, "untraced-job", &trace).await;
}
