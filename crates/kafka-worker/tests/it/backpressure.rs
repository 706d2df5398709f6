use std::fs;
use std::sync::Arc;

use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::setting::Setting;

const RECORDS: usize = 2_000;
/// What a worker with one job at a time may have in hand.
const IN_HAND: f64 = 520.0;
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
    let gate = Arc::new(Semaphore::new(0));
    let entrance = gate.clone();
    let server = StubServer::start(move |_| {
        let entrance = entrance.clone();
        async move {
            drop(entrance.acquire().await);
            Reply::text("done")
        }
    })
    .await;
    // 2,000 records of 200 kB are 400 MB.
    let filler = "x".repeat(200_000);
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
    let unfinished = worker
        .metric("worker_records_unfinished", "")
        .await
        .expect("a number");
    assert!(unfinished > 1.0 && unfinished <= IN_HAND, "{unfinished}");
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
