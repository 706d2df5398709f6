use std::sync::Arc;

use mcp_testkit::{Kafka, Reply, SeenCall, StubServer};
use tokio::sync::{Barrier, Semaphore};

use crate::setting::{Setting, job_of, jobs_of, tool_job, wait_answered};
use crate::worker::SOON;

/// A stub whose tool `gated` waits for the gate, `flaky` fails twice, and others succeed.
async fn stub(gate: &Arc<Semaphore>) -> StubServer {
    let gate = gate.clone();
    StubServer::start(move |call| {
        let gate = gate.clone();
        async move {
            match (&*call.tool, call.attempt) {
                ("gated", _) => drop(gate.acquire().await),
                ("flaky", 1) => return Reply::status(503),
                ("flaky", 2) => return Reply::rpc_error(-32603, "broken"),
                _ => {}
            }
            Reply::text("done")
        }
    })
    .await
}

/// The calls whose jobs begin with `prefix`: none began before the one before it had ended.
fn in_sequence(calls: &[SeenCall], prefix: &str) -> Vec<String> {
    let mut calls: Vec<_> = calls.to_vec();
    calls.retain(|seen| job_of(&seen.call).starts_with(prefix));
    for pair in calls.windows(2) {
        assert!(!pair[0].overlaps(&pair[1]), "{:?} overlap", jobs_of(pair));
    }
    jobs_of(&calls)
}

fn owned(jobs: &[&str]) -> Vec<String> {
    jobs.iter().map(|job| (*job).to_owned()).collect()
}

#[tokio::test]
async fn jobs_of_a_key_keep_their_order_also_across_retries_while_other_keys_go_on() {
    let setting = Setting::new(Kafka::shared().await, "key-order", 1).await;
    let gate = Arc::new(Semaphore::new(0));
    let server = stub(&gate).await;
    for (job, tool, key) in [
        ("a0", "gated", "a"),
        ("a1", "flaky", "a"),
        ("b0", "x", "b"),
        ("a2", "x", "a"),
        ("b1", "flaky", "b"),
        ("b2", "x", "b"),
    ] {
        setting.submit(tool_job(job, tool).key(key)).await;
    }
    // Without a key the jobID is one.
    setting.submit(tool_job("c", "flaky")).await;
    setting.submit(tool_job("c", "x")).await;

    let _worker = setting.worker(&server).start().await;
    wait_answered(&server, &owned(&["b2", "c"]), SOON).await;
    assert_eq!(in_sequence(&server.calls(), "a"), ["a0"]);
    gate.add_permits(1);
    setting.wait_all_committed().await;

    let calls = server.calls();
    assert_eq!(in_sequence(&calls, "a"), ["a0", "a1", "a1", "a1", "a2"]);
    assert_eq!(in_sequence(&calls, "b"), ["b0", "b1", "b1", "b1", "b2"]);
    in_sequence(&calls, "c");
    let tools_of_c: Vec<_> = calls
        .iter()
        .filter(|seen| job_of(&seen.call) == "c")
        .map(|seen| &*seen.call.tool)
        .collect();
    assert_eq!(tools_of_c, ["flaky", "flaky", "flaky", "x"]);
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn in_partition_order_a_partition_runs_one_job_at_a_time_and_the_others_go_on() {
    let setting = Setting::new(Kafka::shared().await, "partition-order", 2).await;
    let gate = Arc::new(Semaphore::new(0));
    let server = stub(&gate).await;
    for (job, tool, partition) in [
        ("a0", "gated", 0),
        ("a1", "flaky", 0),
        ("a2", "x", 0),
        ("b0", "flaky", 1),
        ("b1", "x", 1),
    ] {
        let record = tool_job(job, tool).key(job).partition(partition);
        setting.submit(record).await;
    }

    let _worker = setting
        .worker(&server)
        .var("WORKER_ORDERING", "partition")
        .start()
        .await;
    wait_answered(&server, &owned(&["b1"]), SOON).await;
    assert_eq!(in_sequence(&server.calls(), "a"), ["a0"]);
    gate.add_permits(1);
    setting.wait_all_committed().await;

    let calls = server.calls();
    assert_eq!(in_sequence(&calls, "a"), ["a0", "a1", "a1", "a1", "a2"]);
    assert_eq!(in_sequence(&calls, "b"), ["b0", "b0", "b0", "b1"]);
}

#[tokio::test]
async fn unordered_jobs_of_one_key_run_side_by_side() {
    let setting = Setting::new(Kafka::shared().await, "unordered", 1).await;
    let together = Arc::new(Barrier::new(3));
    let server = StubServer::start(move |_| {
        let together = together.clone();
        async move {
            together.wait().await;
            Reply::text("done")
        }
    })
    .await;
    for job in ["a", "b", "c"] {
        setting.submit(tool_job(job, "x").key("same")).await;
    }

    let _worker = setting
        .worker(&server)
        .var("WORKER_ORDERING", "unordered")
        .start()
        .await;

    setting.wait_all_committed().await;
    assert_eq!(server.calls().len(), 3);
}
