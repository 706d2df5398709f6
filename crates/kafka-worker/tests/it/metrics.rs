use std::sync::Arc;

use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};
use tokio::sync::Semaphore;

use crate::setting::{Setting, tool_job};

#[tokio::test]
async fn the_metrics_tell_what_happened_and_how_far_each_partition_is_behind() {
    let setting = Setting::new(Kafka::shared().await, "metrics", 2).await;
    let gate = Arc::new(Semaphore::new(0));
    let entrance = gate.clone();
    let server = StubServer::start(move |call| {
        let entrance = entrance.clone();
        async move {
            match (&*call.tool, call.attempt) {
                ("gated", _) => drop(entrance.acquire().await),
                ("flaky", 1) => return Reply::status(500),
                ("later", 1) => return Reply::status(503).header("Retry-After", "200"),
                _ => {}
            }
            Reply::text("done")
        }
    })
    .await;
    for (job, tool) in [("a", "x"), ("b", "flaky"), ("c", "gated"), ("d", "later")] {
        setting
            .submit(tool_job(job, tool).key(job).partition(0))
            .await;
    }
    setting
        .submit(NewRecord::value("poison").partition(1))
        .await;
    let worker = setting.worker(&server).start_ready().await;

    let wait = async |name: &str, label: &str, wanted: f64| {
        worker
            .wait_metric(name, label, |value| value == wanted)
            .await;
    };
    let lag = |partition: i32| format!("topic=\"{}\",partition=\"{partition}\"", setting.jobs);
    wait("worker_jobs_total", "status=\"succeeded\"", 2.0).await;
    wait("worker_jobs_total", "status=\"dead-lettered\"", 1.0).await;
    wait(
        "worker_dead_letters_total",
        "code=\"invalid-record\",class=\"permanent\"",
        1.0,
    )
    .await;
    wait("worker_attempts_failed_total", "code=\"server-error\"", 1.0).await;
    wait("worker_jobs_in_flight", "", 1.0).await;
    wait("worker_retries_parked", "", 1.0).await;
    wait("worker_records_unfinished", "", 2.0).await;
    wait("worker_partitions_assigned", "", 2.0).await;
    wait("worker_breaker_open", "", 0.0).await;
    wait("worker_partition_lag", &lag(0), 2.0).await;
    wait("worker_partition_lag", &lag(1), 0.0).await;
    wait(
        "messaging_client_consumed_messages_total",
        &setting.jobs,
        5.0,
    )
    .await;
    wait("messaging_client_sent_messages_total", &setting.dead, 1.0).await;
    wait(
        "messaging_process_duration_seconds_count",
        "job_type=\"tool-call\"",
        4.0,
    )
    .await;
    worker
        .wait_metric("worker_commits_total", "", |count| count >= 1.0)
        .await;
    worker
        .wait_metric("worker_rebalances_total", "kind=\"assigned\"", |count| {
            count >= 1.0
        })
        .await;

    gate.add_permits(1);
    wait("worker_jobs_in_flight", "", 0.0).await;
    wait("worker_partition_lag", &lag(0), 1.0).await;
    let (status, _) = worker.get("/health").await.expect("an answer");
    assert_eq!(status, 200);
}
