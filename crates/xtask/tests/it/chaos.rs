use std::time::Duration;

use mcp_testkit::{Process, workspace_binary};
use tokio::sync::Mutex;

use crate::with_cargo;

/// Far longer than a run takes, also on a machine that is busy, and with a build before it.
const LONG: Duration = Duration::from_secs(1_200);

/// Each run has a Kafka and several workers: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// Runs the harness, and returns whether it passed, with what it printed.
async fn chaos(arguments: &[&str]) -> (bool, String) {
    let _turn = TURN.lock().await;
    let builder = Process::builder(env!("CARGO_BIN_EXE_xtask"))
        .named("xtask chaos")
        .arg("chaos")
        .args(arguments.iter().map(ToString::to_string));
    // What cargo needs to build the worker with known bugs.
    let mut process = with_cargo(builder).start();
    let status = process.wait_exit(LONG).await;
    (status.success(), process.output().join("\n"))
}

#[tokio::test]
async fn workers_keep_every_promise_while_everything_breaks() {
    let worker = workspace_binary("kafka-worker");
    let worker = worker.to_str().expect("a path that is text");
    let (passed, printed) = chaos(&["--seed", "1", "--for", "30s", "--worker", worker]).await;
    assert!(passed, "{printed}");
}

#[tokio::test]
async fn known_bugs_are_found() {
    let (passed, printed) = chaos(&["--prove-mutations", "off-by-one,drain-skipped"]).await;
    assert!(passed, "{printed}");
    assert!(printed.contains("off-by-one: caught by"), "{printed}");
    assert!(printed.contains("drain-skipped: caught by"), "{printed}");
}

#[tokio::test]
async fn the_help_teaches() {
    let (passed, printed) = chaos(&["--help"]).await;
    assert!(passed && printed.contains("Examples:"), "{printed}");
}
