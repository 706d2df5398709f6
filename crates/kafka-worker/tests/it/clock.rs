//! The machine's clock is set while the worker runs, an hour back and an hour ahead.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{SecondsFormat, TimeDelta};
use mcp_core::Clock;
use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};
use serde_json::json;
use tempfile::TempDir;

use crate::protocol::Protocol;
use crate::setting::{Setting, jobs_of, tool_job, wait_answered};
use crate::worker::SOON;

const HOUR: i64 = 3_600;
const HALF_AN_HOUR: i64 = HOUR / 2;

/// Builds the library that gives one process another time of day.
fn clock_library(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clock.c");
    let library = folder.join("clock.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status()
        .expect("a C compiler, which the build of librdkafka needs as well");
    assert!(built.success());
    library
}

/// A job with the time `name`, so many seconds from the machine's now.
fn timed_job(id: &str, name: &str, seconds: i64) -> NewRecord {
    let at = Clock::System.now() + TimeDelta::seconds(seconds);
    let job = json!({
        "jobID": id, "jobType": "tool-call", "payload": {"tool": "x", "arguments": {}},
        name: at.to_rfc3339_opts(SecondsFormat::Millis, true),
    });
    NewRecord::value(job.to_string())
}

#[tokio::test]
async fn a_clock_that_is_set_moves_times_of_day_and_nothing_else() {
    let setting = Setting::new(Kafka::shared().await, "clock", 2).await;
    let server = StubServer::start(async |call| match (&*call.tool, call.attempt) {
        ("flaky", 1 | 2) => Reply::status(503),
        _ => Reply::text("done"),
    })
    .await;
    let folder = TempDir::new().expect("a temporary folder");
    let offset = folder.path().join("offset");
    fs::write(&offset, 0_i64.to_ne_bytes()).expect("a writable folder");
    // In place: the worker has the file mapped.
    let set = |seconds: i64| {
        let file = File::options().write(true).open(&offset);
        let written = file.and_then(|file| file.write_all_at(&seconds.to_ne_bytes(), 0));
        written.expect("a writable folder");
    };
    let mut worker = Protocol::Classic
        .worker(&setting, &server)
        .var("LD_PRELOAD", clock_library(folder.path()).display())
        .var("CLOCK_OFFSET", offset.display())
        .start_ready()
        .await;
    // Alone in its partition: what waits holds back the offsets behind it.
    let later = timed_job("later", "notBefore", 2 * HOUR).partition(0);
    setting.submit(later).await;
    let submit = async |record: NewRecord| setting.submit(record.partition(1)).await;
    let done = async |id: &str| wait_answered(&server, &[id.to_owned()], SOON).await;
    submit(tool_job("before", "flaky")).await;
    done("before").await;

    set(-HOUR);
    submit(timed_job("unexpired", "expiresAt", -HALF_AN_HOUR)).await;
    done("unexpired").await;
    submit(tool_job("back", "flaky")).await;
    done("back").await;

    set(HOUR);
    submit(timed_job("due", "notBefore", HALF_AN_HOUR)).await;
    done("due").await;
    submit(tool_job("ahead", "flaky")).await;
    done("ahead").await;
    submit(timed_job("expired", "expiresAt", HALF_AN_HOUR)).await;
    let letters = setting.dead_letters(1).await;
    assert_eq!(letters[0].header("mcp.job.id").as_deref(), Some("expired"));
    let code = letters[0].header("mcp.error.code");
    assert_eq!(code.as_deref(), Some("job-expired"));

    let wanted = [None, Some(6)];
    setting
        .kafka
        .wait_committed(&setting.group, &setting.jobs, &wanted, SOON)
        .await;
    worker.wait_ready().await;
    worker.leave().await;
    let called = jobs_of(&server.calls());
    assert_eq!(called.len(), 3 * 3 + 2);
    assert!(!called.contains(&"later".to_owned()), "{called:?}");
}
