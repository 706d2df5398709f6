//! What a real worker and a real server expose is what their definitions, and so `docs/metrics.md`, say: no more and no
//! less.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use mcp_runtime::metric::Metric;
use mcp_testkit::{
    FakeGemini, GeminiReply, Kafka, NewRecord, Process, Redis, eventually, free_port,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::binaries;
use crate::pair::SOON;

pub(crate) async fn http(address: &str, request: String) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Metrics by name: kind, and the labels of each series.
async fn scrape(address: &str) -> BTreeMap<String, (String, BTreeSet<Vec<String>>)> {
    let request = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n".to_owned();
    let text = http(address, request).await.unwrap_or_default();
    let mut found = BTreeMap::<String, (String, BTreeSet<_>)>::new();
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            found.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
            continue;
        }
        let Some(end) = line.find(['{', ' ']).filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let series = &line[..end];
        let family = ["", "_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|end| series.strip_suffix(end))
            .find(|family| found.contains_key(*family));
        let Some((_, labels)) = family.and_then(|family| found.get_mut(family)) else {
            continue;
        };
        let named = line[end..].strip_prefix('{').map_or("", |rest| {
            rest.split_once("} ").expect("labels have an end").0
        });
        // No value of a label here has a comma or an equals sign.
        let names = named
            .split(',')
            .filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        labels.insert(names.filter(|name| name != "le").collect());
    }
    found
}

/// Waits until all of `defined` is exposed, and nothing else, each with its kind and its labels.
async fn assert_exposed(address: &str, defined: &[Metric]) {
    eventually(SOON, async || {
        let exposed = scrape(address).await;
        let names: BTreeSet<_> = exposed.keys().map(String::as_str).collect();
        let wanted: BTreeSet<_> = defined.iter().map(|metric| metric.name).collect();
        let missing: Vec<_> = wanted.difference(&names).collect();
        let unknown: Vec<_> = names.difference(&wanted).collect();
        match missing.is_empty() && unknown.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "{address}: missing {missing:?}, not defined {unknown:?}"
            )),
        }
    })
    .await;
    let exposed = scrape(address).await;
    for metric in defined {
        let (kind, series) = &exposed[metric.name];
        assert_eq!(kind, metric.kind.as_str(), "{}", metric.name);
        let labels: BTreeSet<_> = metric
            .labels
            .iter()
            .map(|label| (*label).to_owned())
            .collect();
        for names in series {
            let names: BTreeSet<_> = names.iter().cloned().collect();
            assert_eq!(names, labels, "{}", metric.name);
        }
        assert!(!series.is_empty(), "{} has no series", metric.name);
    }
}

/// A new key: the caller's, and its line for the server's file.
async fn new_key() -> [String; 2] {
    let mut made = Process::builder(binaries::mcp_server())
        .args([
            "keys",
            "new",
            "--name",
            "worker",
            "--scope",
            "servers:launch,servers:publish,svg:generate,tools:call",
        ])
        .start();
    assert!(made.wait_exit(SOON).await.success());
    let key = made.wait_for_line("mcpk_", SOON).await;
    let line = made.wait_for_line("sha256:", SOON).await;
    [key, line]
}

/// Gemini as it may be: its quota is used up for a moment, then it draws what is no picture, then a picture.
async fn gemini() -> FakeGemini {
    FakeGemini::start(async |call| match call.number {
        1 => GeminiReply::quota_a_minute("0.1s"),
        2 => GeminiReply::svg("<svg", "None", "No picture."),
        _ => GeminiReply::svg(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><path d="M0 0h8v8z"/></svg>"#,
            "A corner",
            "A black corner.",
        ),
    })
    .await
}

/// Jobs that bring about what is counted: one that the policy denies, so a tool's error and a dead letter, a picture, a
/// published server, and a record that is no job.
async fn submit_all(kafka: &Kafka, topic: &str) {
    let server = json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "com.example/weather", "version": "1.0.0", "description": "Weather, by city",
    });
    let jobs: [(&str, &str, Value); 3] = [
        (
            "denied",
            "server-init",
            json!({"mcpServers": {"a": {"command": "not-allowed"}}}),
        ),
        ("drawn", "svg-generate", json!({"prompt": "a corner"})),
        ("published", "server-publish", json!({"server": server})),
    ];
    for (id, job_type, payload) in jobs {
        let job = json!({"jobID": id, "jobType": job_type, "payload": payload.to_string()});
        kafka.produce(topic, id, &job.to_string()).await;
    }
    kafka
        .send(topic, NewRecord::value("poison").partition(1))
        .await;
}

#[tokio::test]
async fn programs_expose_what_is_documented_and_nothing_else() {
    let kafka = Kafka::shared().await;
    let jobs = kafka.new_topic("metrics", 2, &[]).await;
    kafka.create_topic(&format!("{jobs}-dlq"), 1, &[]).await;
    let (redis, gemini) = (Redis::start().await, gemini().await);
    let folder = TempDir::with_prefix("mcp-hybrid-metrics-").unwrap();
    let keys = folder.path().join("keys");
    let [key, line] = new_key().await;
    fs::write(&keys, &line).unwrap();

    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut server = Process::builder(binaries::mcp_server())
        .env("PORT", port)
        .env("MCP_API_KEYS_FILE", keys.display())
        .env("REDIS_URL", redis.url())
        .env("GEMINI_BASE_URL", gemini.url())
        .env("GEMINI_API_KEY", FakeGemini::KEY)
        .env("STATE_DIRECTORY", folder.path().display())
        .env("MCP_AUDIT_LOG", "none")
        .start();
    server.wait_ready(&format!("http://{address}"), SOON).await;
    let mut worker = Process::builder(binaries::kafka_worker())
        .env("KAFKA_BROKERS", kafka.bootstrap())
        .env("KAFKA_TOPIC", &jobs)
        .env("MCP_CONSUMER_GROUP", format!("group-of-{jobs}"))
        .env("MCP_SERVER_URL", format!("http://{address}"))
        .env("MCP_API_KEY", key)
        .env("ADMIN_PORT", 0)
        .start();
    let line_of = worker.wait_for_line(" admin=", SOON).await;
    let admin = line_of.split_once(" admin=").unwrap().1;
    let admin = admin
        .split_whitespace()
        .next()
        .unwrap()
        .replace("0.0.0.0", "127.0.0.1");

    submit_all(kafka, &jobs).await;
    // A caller without a key; and another key in the file.
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let length = body.len();
    let request = format!(
        "POST /mcp HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let answer = http(&address, request).await.unwrap();
    assert!(answer.contains(" 401 "), "{answer}");
    // What the server finds at its first look is no change.
    eventually(SOON, async || {
        let exposed = scrape(&address).await;
        let looked = exposed.contains_key("mcp_server_reload_refused");
        looked
            .then_some(())
            .ok_or("the file of keys was not looked at")
    })
    .await;
    let [_, another] = new_key().await;
    fs::write(&keys, format!("{line}\n{another}\n")).unwrap();

    assert_exposed(&admin, &kafka_worker::metric_definitions::exposed()).await;
    assert_exposed(&address, &mcp_server::metric_definitions::exposed()).await;
}
