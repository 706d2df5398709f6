use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};

use crate::setting::{Setting, answered, ids, tool_job};
use crate::worker::SOON;

const BUDGET: usize = 30;

#[tokio::test]
async fn a_flood_of_dead_letters_stops_at_the_budget_and_trickles_from_then_on() {
    let setting = Setting::new(Kafka::shared().await, "budget", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let good = ids("good", 5);
    setting
        .submit_all((0..BUDGET + 2).map(|n| NewRecord::value(format!("poison {n}"))))
        .await;
    setting
        .submit_all(good.iter().map(|id| tool_job(id, "x")))
        .await;

    let mut worker = setting
        .worker(&server)
        .var("WORKER_DLQ_PER_MINUTE", BUDGET)
        .start()
        .await;
    let reason = worker.wait_not_ready("budget", "used up").await;
    assert!(
        reason.contains("30 a minute (WORKER_DLQ_PER_MINUTE)"),
        "{reason}"
    );
    let held = "reason=\"budget\"";
    worker
        .wait_metric("worker_intake_held", held, |held| held == 1.0)
        .await;
    worker
        .wait_metric("worker_partitions_paused", "", |paused| paused == 1.0)
        .await;
    worker
        .wait_metric("worker_dead_letter_budget_remaining", "", |left| left < 1.0)
        .await;
    // What is here already goes on.
    server.wait_ended(good.len(), SOON).await;
    assert_eq!(answered(&server).len(), good.len());

    // Two seconds a letter.
    setting.wait_all_committed().await;
    assert_eq!(setting.dead_letters(BUDGET + 2).await.len(), BUDGET + 2);
    worker.wait_ready().await;
    worker
        .wait_metric("worker_intake_held", held, |held| held == 0.0)
        .await;
}

#[tokio::test]
async fn without_a_limit_nothing_waits_for_the_budget() {
    let setting = Setting::new(Kafka::shared().await, "no-budget", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    setting
        .submit_all((0..1_100).map(|n| NewRecord::value(format!("poison {n}"))))
        .await;
    let worker = setting
        .worker(&server)
        .var("WORKER_DLQ_PER_MINUTE", 0)
        .start()
        .await;
    let dead = "status=\"dead-lettered\"";
    worker
        .wait_metric("worker_jobs_total", dead, |count| count == 1_100.0)
        .await;
    let gauge = worker
        .metric("worker_dead_letter_budget_remaining", "")
        .await;
    assert!(gauge.is_err(), "{gauge:?}");
}
