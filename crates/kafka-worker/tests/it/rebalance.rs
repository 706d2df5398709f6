use std::sync::Arc;
use std::time::Duration;

use mcp_testkit::{Kafka, Reply, StubServer, eventually};
use tokio::sync::Semaphore;

use crate::protocol::{Protocol, by_both_protocols};
use crate::setting::{Setting, gated_server, ids, jobs_of, repeated, tool_job, wait_answered};
use crate::worker::{SOON, Worker};

/// Waits until the workers share the partitions evenly.
async fn share(workers: &[Worker], each: f64) {
    for worker in workers {
        worker
            .wait_metric("worker_partitions_assigned", "", |count| count == each)
            .await;
    }
}

async fn a_job_in_flight_is_finished_before_its_partition_moves(protocol: Protocol) {
    let setting = protocol.setting("join", 2).await;
    let (gate, server) = gated_server().await;
    let all = ids("job", 4);
    for (number, id) in all.iter().enumerate() {
        let record = tool_job(id, "x").key("a").partition((number % 2) as i32);
        setting.submit(record).await;
    }
    let build = || protocol.worker(&setting, &server);
    let first = build().start_ready().await;
    server.wait_calls(2, SOON).await;

    let second = build().start().await;
    first
        .wait_metric("worker_rebalances_total", "revoked", |count| count > 0.0)
        .await;
    gate.add_permits(1);

    wait_answered(&server, &all, SOON).await;
    setting.wait_all_committed().await;
    share(&[first, second], 1.0).await;
    assert_eq!(repeated(&server), Vec::<String>::new());
}

by_both_protocols!(a_job_in_flight_is_finished_before_its_partition_moves);

async fn while_partitions_move_what_is_here_of_the_others_is_done_and_committed(
    protocol: Protocol,
) {
    let setting = protocol.setting("hold-up", 4).await;
    let gate = Arc::new(Semaphore::new(0));
    let entrance = gate.clone();
    let server = StubServer::start(move |call| {
        let entrance = entrance.clone();
        async move {
            if &*call.tool == "gated" {
                drop(entrance.acquire().await);
            }
            Reply::text("done").after(Duration::from_millis(50))
        }
    })
    .await;
    // In each partition some that are done soon, and one behind them that hangs: whichever move, they are held up.
    let quick = ids("quick", 160);
    for (number, id) in quick.iter().enumerate() {
        let job = tool_job(id, "x").key(id).partition((number % 4) as i32);
        setting.submit(job).await;
    }
    let gated = ids("gated", 4);
    for (partition, id) in gated.iter().enumerate() {
        let job = tool_job(id, "gated").key(id).partition(partition as i32);
        setting.submit(job).await;
    }
    let build = || {
        protocol
            .worker(&setting, &server)
            .var("WORKER_CONCURRENCY", 5)
    };
    let first = build().start_ready().await;
    eventually(SOON, async || {
        match jobs_of(&server.calls()).contains(&gated[0]) {
            true => Ok(()),
            false => Err("not there yet"),
        }
    })
    .await;
    let second = build().start().await;
    first
        .wait_metric("worker_rebalances_total", "revoked", |count| count > 0.0)
        .await;

    // The hanging jobs keep two partitions from moving. The others' finished jobs are committed nevertheless.
    eventually(SOON, async || {
        let committed = setting.committed().await;
        match committed.iter().filter(|at| **at == Some(40)).count() {
            2.. => Ok(()),
            _ => Err(format!("committed is {committed:?}")),
        }
    })
    .await;
    let moved = second.metric("worker_partitions_assigned", "").await;
    // A member that was never given any partition does not tell of them.
    assert_eq!(moved.unwrap_or(0.0), 0.0, "the drain was over");
    gate.add_permits(4);

    setting.wait_all_committed().await;
    share(&[first, second], 2.0).await;
    assert_eq!(repeated(&server), Vec::<String>::new());
}

by_both_protocols!(while_partitions_move_what_is_here_of_the_others_is_done_and_committed);

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
