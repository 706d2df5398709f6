use mcp_testkit::{Kafka, Reply, StubServer, eventually};
use serde_json::json;

use crate::setting::{Setting, ids, tool_job};
use crate::worker::{SOON, Worker};

/// Waits until `/health` answers with that status.
async fn wait_health(worker: &Worker, wanted: u16) -> String {
    eventually(SOON, async || match worker.get("/health").await? {
        (status, body) if status == wanted => Ok(body),
        (status, body) => Err(format!("/health answers {status} {body}")),
    })
    .await
}

#[tokio::test]
async fn a_partition_from_which_nothing_comes_although_it_has_records_is_a_silent_stall() {
    let setting = Setting::new(Kafka::shared().await, "stall", 2).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    setting.submit(tool_job("a", "x").partition(1)).await;

    // A fetch that the broker does not answer for long: to the worker it looks as if the client had lost a wake-up.
    let mut worker = setting
        .worker(&server)
        .var("WORKER_JOB_TIMEOUT_MS", 500)
        .var("WORKER_STALL_MS", 3_000)
        .var("KAFKA_PROPERTY_FETCH_MIN_BYTES", 50_000_000)
        .var("KAFKA_PROPERTY_FETCH_WAIT_MAX_MS", 20_000)
        .var("KAFKA_PROPERTY_SOCKET_TIMEOUT_MS", 60_000)
        .start()
        .await;
    let body = wait_health(&worker, 503).await;
    let place = format!("{}[1]: lag 1, nothing moved", setting.jobs);
    assert!(
        body.contains(&place) && body.contains("no record comes"),
        "{body}"
    );
    worker.wait_not_ready("progress", "no record comes").await;
    assert!(worker.log().contains("no progress: "));
    let partition = "partition=\"1\"";
    worker
        .wait_metric("worker_partition_stalled", partition, |stalled| {
            stalled == 1.0
        })
        .await;
    worker
        .wait_metric("worker_partition_stalled", "partition=\"0\"", |stalled| {
            stalled == 0.0
        })
        .await;

    // The broker answers at last.
    wait_health(&worker, 200).await;
    worker.wait_ready().await;
}

#[tokio::test]
async fn a_partition_full_of_jobs_for_later_is_told_of_but_no_reason_for_a_new_process() {
    let setting = Setting::new(Kafka::shared().await, "later", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let later = |id: &String| {
        let job = json!({"jobID": id, "jobType": "tool-call", "payload": {"tool": "x"}, "notBefore": "2999-01-01T00:00:00Z"});
        mcp_testkit::NewRecord::value(job.to_string())
    };
    setting.submit_all(ids("later", 40).iter().map(later)).await;
    let worker = setting
        .worker(&server)
        .var("WORKER_JOB_TIMEOUT_MS", 500)
        .var("WORKER_STALL_MS", 3_000)
        .var("WORKER_WAITING_MAX", 10)
        .start()
        .await;
    worker
        .wait_not_ready("progress", "wait for their time")
        .await;
    assert_eq!(
        worker.get("/health").await.map(|(status, _)| status),
        Ok(200)
    );
}

#[tokio::test]
async fn one_job_for_later_is_no_stall() {
    let setting = Setting::new(Kafka::shared().await, "one-later", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let job = json!({"jobID": "later", "jobType": "tool-call", "payload": {"tool": "x"}, "notBefore": "2999-01-01T00:00:00Z"});
    setting
        .submit(mcp_testkit::NewRecord::value(job.to_string()))
        .await;
    let worker = setting
        .worker(&server)
        .var("WORKER_JOB_TIMEOUT_MS", 500)
        .var("WORKER_STALL_MS", 3_000)
        .start_ready()
        .await;
    worker
        .wait_metric("worker_partition_lag", "", |lag| lag == 1.0)
        .await;
    // Three limits later, told by the number of looks.
    eventually(SOON, async || {
        match worker.log().matches("the observer has looked").count() {
            12.. => Ok(()),
            looks => Err(format!("{looks} looks")),
        }
    })
    .await;
    assert!(!worker.log().contains("no progress"));
    assert_eq!(
        worker.get("/ready").await.map(|(status, _)| status),
        Ok(200)
    );
}
