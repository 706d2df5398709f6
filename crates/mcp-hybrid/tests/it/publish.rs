//! `server-publish` jobs, in both databases.

use mcp_testkit::{Postgres, Process, eventually, fetched};
use serde_json::{Value, json};

use crate::pair::{Pair, SOON};

const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";

fn payload(version: &str, text: &str) -> Value {
    let server = json!({"$schema": SCHEMA, "name": "com.example/weather", "version": version, "description": text});
    json!({"server": server, "tools": [{"name": "forecast", "inputSchema": {"type": "object"}}]})
}

/// What the job of that id came to.
fn of<'a>(results: &'a [Value], id: &str) -> &'a Value {
    let result = results.iter().find(|result| result["jobID"] == id);
    result.unwrap_or_else(|| panic!("no result of {id}: {results:#?}"))
}

#[tokio::test]
async fn servers_are_published_in_a_file() {
    let pair = Pair::with_database("publish-sqlite", None).await;
    publish_repeat_and_conflict(&pair).await;
}

#[tokio::test]
async fn servers_are_published_in_postgres() {
    let url = Postgres::shared().await.new_database().await;
    let pair = Pair::with_database("publish-postgres", Some(url)).await;
    publish_repeat_and_conflict(&pair).await;
    assert!(!pair.log().contains(Postgres::PASSWORD));
}

async fn publish_repeat_and_conflict(pair: &Pair) {
    pair.submit_as("server-publish", "first", &payload("1.0.0", "Weather"))
        .await;
    let results = pair.results(1).await;
    let first = of(&results, "first");
    assert_eq!(first["status"], "succeeded", "{first}");
    let published = &first["result"];
    assert_eq!(published["status"], "published", "{first}");
    assert_eq!(published["isLatest"], true);
    assert_eq!(published["tools"], 1);

    // The record again is the same job, another job with the same content is a repetition.
    pair.submit_as("server-publish", "first", &payload("1.0.0", "Weather"))
        .await;
    pair.submit_as("server-publish", "again", &payload("1.0.0", "Weather"))
        .await;
    let results = pair.results(3).await;
    for repeated in results.iter().filter(|result| result["jobID"] == "first") {
        assert_eq!(repeated["result"], *published);
    }
    let again = &of(&results, "again")["result"];
    assert_eq!(again["status"], "unchanged");
    assert_eq!(again["sha256"], published["sha256"]);

    pair.submit_as("server-publish", "other", &payload("1.0.0", "Snow"))
        .await;
    pair.submit_as("server-publish", "wrong", &payload("latest", "Snow"))
        .await;
    let results = pair.results(5).await;
    for (id, code) in [
        ("other", "version-conflict"),
        ("wrong", "invalid-arguments"),
    ] {
        let letter = pair.dead_letter(id, 2).await;
        assert_eq!(letter.header("mcp.error.code").as_deref(), Some(code));
        assert_eq!(
            letter.header("mcp.error.class").as_deref(),
            Some("permanent")
        );
        let result = of(&results, id);
        assert_eq!(result["status"], "dead-lettered");
        assert_eq!(result["attempts"], 1, "{result}");
    }
    pair.wait_all_committed().await;
}

/// Waits until a call has failed because the database is away.
async fn failed_once(pair: &Pair) {
    eventually(SOON, async || {
        let log = pair.log();
        let has_failed = log.contains("attempt failed") && log.contains("the database is away");
        has_failed.then_some(()).ok_or(log)
    })
    .await;
}

#[tokio::test]
async fn a_job_waits_for_a_postgres_that_is_away() {
    let mut postgres = Postgres::start().await;
    let url = postgres.new_database().await;
    let pair = Pair::with_database("publish-away", Some(url)).await;
    postgres.stop().await;
    pair.submit_as("server-publish", "patient", &payload("1.0.0", "Weather"))
        .await;
    failed_once(&pair).await;
    postgres.start_again().await;
    succeeded_late(&pair).await;
    assert!(!pair.log().contains(Postgres::PASSWORD));
}

#[tokio::test]
async fn a_job_waits_for_a_file_that_somebody_else_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let url = format!("sqlite:{}", path.display());
    let pair = Pair::with_database("publish-busy", Some(url)).await;
    let script = "import sqlite3, sys, time\n\
                  file = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                  file.execute('BEGIN IMMEDIATE')\n\
                  print('it is mine', flush=True)\n\
                  time.sleep(600)\n";
    let mut other = Process::builder(fetched::python())
        .args(["-c", script])
        .arg(&path)
        .start();
    other.wait_for_line("it is mine", SOON).await;
    pair.submit_as("server-publish", "patient", &payload("1.0.0", "Weather"))
        .await;
    failed_once(&pair).await;
    other.kill9();
    succeeded_late(&pair).await;
}

async fn succeeded_late(pair: &Pair) {
    let results = pair.results(1).await;
    let result = of(&results, "patient");
    assert_eq!(result["status"], "succeeded", "{result}");
    assert!(result["attempts"].as_u64().unwrap() >= 2, "{result}");
    assert_eq!(pair.dead_letters().await, 0);
}
