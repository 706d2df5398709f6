use std::fs;
use std::sync::Arc;

use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::setting::{Setting, answered, gated_server, ids, tool_job, wait_answered};
use crate::worker::SOON;

const RECORDS: usize = 2_000;
/// Of each.
const RECORD: usize = 200_000;
/// What may be here of records that could run. Twice that while one partition has it all and the other comes to its
/// share; a worker with one job at a time would take 512 records, 100 MB, for the bound on their number alone.
const BYTES: f64 = (32 << 20) as f64;
/// Far above what it needs, far below what it would need for all records.
const MEMORY_KB: u64 = 300_000;

fn resident_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("a size");
    line.split_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse().ok())
        .expect("a number")
}

#[tokio::test]
async fn intake_pauses_while_the_server_is_busy_and_everything_is_done_in_the_end() {
    let setting = Setting::new(Kafka::shared().await, "pause", 2).await;
    let (gate, server) = gated_server().await;
    // 400 MB.
    let filler = "x".repeat(RECORD);
    let job = |number: usize| {
        let payload = json!({"tool": "t", "arguments": {}});
        let job = json!({"jobID": format!("job-{number}"), "jobType": "tool-call", "payload": payload, "filler": filler});
        NewRecord::value(job.to_string()).partition((number % 2) as i32)
    };
    for start in (0..RECORDS).step_by(100) {
        setting.submit_all((start..start + 100).map(job)).await;
    }

    let worker = setting
        .worker(&server)
        .var("WORKER_CONCURRENCY", 1)
        .var("RUST_LOG", "info")
        .start_ready()
        .await;
    worker
        .wait_metric("worker_partitions_paused", "", |paused| paused == 2.0)
        .await;
    let here = worker
        .metric("worker_records_unfinished_bytes", "")
        .await
        .expect("a number");
    assert!((BYTES..2.0 * BYTES).contains(&here), "{here}");
    gate.add_permits(RECORDS);

    setting.wait_all_committed().await;
    worker
        .wait_metric("worker_jobs_total", "succeeded", |count| {
            count == RECORDS as f64
        })
        .await;
    assert_eq!(server.calls().len(), RECORDS);
    let resident = resident_kb(worker.process.id());
    assert!(resident < MEMORY_KB, "{resident} kB");
}

#[tokio::test]
async fn a_slow_key_stops_neither_the_other_keys_nor_the_other_partitions() {
    let setting = Setting::new(Kafka::shared().await, "slow-key", 2).await;
    let server = StubServer::start(async |call| match &*call.tool {
        "slow" => Reply::Hang,
        _ => Reply::text("done"),
    })
    .await;
    let slow = ids("slow", 600);
    let (beside, elsewhere) = (ids("beside", 100), ids("elsewhere", 800));
    let on = |id: &String, key: &str, partition: i32| {
        let tool = if key == "slow" { "slow" } else { "x" };
        tool_job(id, tool).key(key).partition(partition)
    };
    setting
        .submit_all(slow[..100].iter().map(|id| on(id, "slow", 0)))
        .await;
    setting
        .submit_all(beside.iter().map(|id| on(id, id, 0)))
        .await;
    setting
        .submit_all(slow[100..].iter().map(|id| on(id, "slow", 0)))
        .await;
    setting
        .submit_all(elsewhere.iter().map(|id| on(id, id, 1)))
        .await;

    let worker = setting
        .worker(&server)
        .var("WORKER_CONCURRENCY", 4)
        .var("WORKER_WAITING_MAX", 400)
        .start_ready()
        .await;
    let others: Vec<_> = beside.iter().chain(&elsewhere).cloned().collect();
    wait_answered(&server, &others, SOON).await;
    worker
        .wait_metric("worker_partitions_paused", "", |paused| paused == 1.0)
        .await;
    let waiting = worker.metric("worker_jobs_waiting", "").await;
    assert!(waiting.is_ok_and(|waiting| (200.0..600.0).contains(&waiting)));
    assert!(
        worker
            .log()
            .contains("the partition is paused: as many of its jobs wait")
    );
}

#[tokio::test]
async fn jobs_that_wait_for_a_retry_or_their_time_do_not_starve_the_others() {
    let setting = Setting::new(Kafka::shared().await, "starve", 1).await;
    let server = StubServer::start(async |call| match &*call.tool {
        "later" => Reply::tool_error_with(
            json!({"code": "busy", "retryable": true, "retryAfterMs": 200_000}),
            "later",
        ),
        _ => Reply::text("done"),
    })
    .await;
    let (retried, scheduled, good) = (ids("retried", 600), ids("scheduled", 600), ids("good", 50));
    let for_later = |id: &String| {
        let job = json!({"jobID": id, "jobType": "tool-call", "payload": {"tool": "x"}, "notBefore": "2999-01-01T00:00:00Z"});
        NewRecord::value(job.to_string())
    };
    setting
        .submit_all(retried.iter().map(|id| tool_job(id, "later")))
        .await;
    setting.submit_all(scheduled.iter().map(for_later)).await;
    setting
        .submit_all(good.iter().map(|id| tool_job(id, "x")))
        .await;

    // With one job at a time, 512 that could run are as many as are let in.
    let worker = setting
        .worker(&server)
        .var("WORKER_CONCURRENCY", 1)
        .start_ready()
        .await;
    wait_answered(&server, &good, SOON).await;
    worker
        .wait_metric("worker_jobs_waiting", "", |waiting| waiting == 1_200.0)
        .await;
    assert!(answered(&server).len() >= good.len());
}

#[tokio::test]
async fn a_partition_full_of_slow_jobs_leaves_room_and_turns_for_another() {
    let setting = Setting::new(Kafka::shared().await, "fair", 2).await;
    let gate = Arc::new(Semaphore::new(0));
    let entrance = gate.clone();
    let server = StubServer::start(move |call| {
        let entrance = entrance.clone();
        async move {
            if &*call.tool == "slow" {
                entrance.acquire().await.expect("it is open").forget();
            }
            Reply::text("done")
        }
    })
    .await;
    // More than are let in at once, and then some in the other partition.
    let (slow, quick) = (ids("slow", 900), ids("quick", 20));
    setting
        .submit_all(
            slow.iter()
                .map(|id| tool_job(id, "slow").key(id).partition(0)),
        )
        .await;
    let worker = setting
        .worker(&server)
        .var("WORKER_CONCURRENCY", 4)
        .start_ready()
        .await;
    worker
        .wait_metric("worker_partitions_paused", "", |paused| paused == 1.0)
        .await;
    setting
        .submit_all(
            quick
                .iter()
                .map(|id| tool_job(id, "x").key(id).partition(1)),
        )
        .await;
    // The slow ones have all permits but the one that is kept for the other partition.
    wait_answered(&server, &quick, SOON).await;
    assert!(answered(&server).iter().all(|job| quick.contains(job)));
}
