use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mcp_testkit::{Kafka, Reply, StubServer};
use tokio::sync::Semaphore;

use crate::setting::{Setting, answered, ids, repeated, tool_job, wait_answered};
use crate::worker::{SOON, Worker, WorkerBuilder};

const JOBS: usize = 300;

/// Waits until the workers share the partitions evenly.
async fn share(workers: &[Worker], each: f64) {
    for worker in workers {
        worker
            .wait_metric("worker_partitions_assigned", "", |count| count == each)
            .await;
    }
}

async fn three_share_and_one_leaves(name: &str, adapt: impl Fn(WorkerBuilder) -> WorkerBuilder) {
    let setting = Setting::new(Kafka::shared().await, name, 6).await;
    let server =
        StubServer::start(async |_| Reply::text("done").after(Duration::from_millis(100))).await;
    let build = || adapt(setting.worker(&server).var("WORKER_CONCURRENCY", 4)).start();
    let mut workers = join_all([build(), build(), build()]).await;
    share(&workers, 2.0).await;
    let all = ids("job", JOBS);
    let mut ledger = Vec::new();
    for (number, id) in all.iter().enumerate() {
        let record = tool_job(id, "x").partition((number % 6) as i32);
        ledger.push((setting.submit(record).await, id.clone()));
    }

    let scenario = async {
        server.wait_ended(60, SOON).await;
        let mut leaving = workers.pop().expect("three workers");
        leaving.leave().await;
        let left_after = answered(&server).len();
        wait_answered(&server, &all, SOON).await;
        setting.wait_all_committed().await;
        left_after
    };
    let left_after = setting
        .watch_commits(&ledger, || answered(&server), scenario)
        .await;

    assert!(left_after < JOBS, "it left too late to prove anything");
    assert_eq!(repeated(&server), Vec::<String>::new());
    share(&workers, 3.0).await;
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn three_workers_share_partitions_and_one_leaves() {
    three_share_and_one_leaves("share", |worker| worker).await;
}

#[tokio::test]
async fn three_workers_share_partitions_by_the_new_protocol_too() {
    three_share_and_one_leaves("share-848", |worker| {
        worker
            .var("KAFKA_PROPERTY_GROUP_PROTOCOL", "consumer")
            // The broker's to decide in this protocol.
            .without("KAFKA_PROPERTY_SESSION_TIMEOUT_MS")
            .without("KAFKA_PROPERTY_HEARTBEAT_INTERVAL_MS")
    })
    .await;
}

#[tokio::test]
async fn a_job_in_flight_is_finished_before_its_partition_moves_to_a_worker_that_joins() {
    let setting = Setting::new(Kafka::shared().await, "join", 2).await;
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
    let all = ids("job", 4);
    for (number, id) in all.iter().enumerate() {
        let record = tool_job(id, "x").key("a").partition((number % 2) as i32);
        setting.submit(record).await;
    }
    let first = setting.worker(&server).start_ready().await;
    server.wait_calls(2, SOON).await;

    let second = setting.worker(&server).start().await;
    first
        .wait_metric("worker_rebalances_total", "revoked", |count| count > 0.0)
        .await;
    gate.add_permits(1);

    wait_answered(&server, &all, SOON).await;
    setting.wait_all_committed().await;
    share(&[first, second], 1.0).await;
    assert_eq!(repeated(&server), Vec::<String>::new());
}

#[tokio::test]
async fn a_worker_that_was_expelled_while_the_server_was_down_comes_back_to_work() {
    let setting = Setting::new(Kafka::shared().await, "zombie", 2).await;
    let mut server = StubServer::down(async |_| Reply::text("done")).await;
    let all = ids("job", 2);
    for (partition, id) in all.iter().enumerate() {
        let record = tool_job(id, "x").partition(partition as i32);
        setting.submit(record).await;
    }
    let build = || {
        setting
            .worker(&server)
            .var("KAFKA_PROPERTY_SESSION_TIMEOUT_MS", 3_000)
            .start()
    };
    let mut frozen = build().await;
    frozen.wait_not_ready("server", "down").await;

    frozen.process.freeze();
    let mut other = build().await;
    other
        .wait_metric("worker_partitions_assigned", "", |count| count == 2.0)
        .await;
    frozen.process.resume();
    frozen
        .wait_metric("worker_partitions_assigned", "", |count| count == 1.0)
        .await;
    other.leave().await;
    frozen
        .wait_metric("worker_partitions_assigned", "", |count| count == 2.0)
        .await;
    // All that it had received was taken from it, so it must take in records to find out that the server is back.
    server.start_again().await;
    wait_answered(&server, &all, SOON).await;
    setting.wait_all_committed().await;
    frozen.wait_ready().await;
}
