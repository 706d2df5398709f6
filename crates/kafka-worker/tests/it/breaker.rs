use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mcp_testkit::{Kafka, Reply, StubServer};

use crate::setting::{Setting, answered, ids, tool_job};

#[tokio::test]
async fn a_server_that_refuses_every_job_does_not_empty_the_topic_into_the_dead_letters() {
    let setting = Setting::new(Kafka::shared().await, "refused", 2).await;
    let repaired = Arc::new(AtomicBool::new(false));
    let state = repaired.clone();
    let server = StubServer::start(move |_| {
        let repaired = state.load(Ordering::Relaxed);
        async move {
            match repaired {
                true => Reply::text("done"),
                false => Reply::status(401),
            }
        }
    })
    .await;
    let all = ids("job", 100);
    setting
        .submit_all(all.iter().map(|id| tool_job(id, "x").key(id)))
        .await;

    let mut worker = setting
        .worker(&server)
        .var("WORKER_CONCURRENCY", 8)
        .start()
        .await;
    let reason = worker.wait_not_ready("server", "unauthorized").await;
    assert!(reason.contains("401"), "{reason}");
    worker
        .wait_metric("worker_breaker_open", "", |open| open == 1.0)
        .await;
    repaired.store(true, Ordering::Relaxed);
    setting.wait_all_committed().await;
    worker.wait_ready().await;

    let dead = setting.kafka.read_all(&setting.dead).await.len();
    assert!(dead < 10, "{dead} dead letters");
    let done = &server.calls();
    let done = done.iter().filter(|seen| seen.ended.is_some()).count();
    assert!(done >= all.len());
    let ids: std::collections::HashSet<_> = answered(&server).into_iter().collect();
    assert_eq!(ids.len(), all.len());
    worker
        .wait_metric("worker_jobs_total", "status=\"succeeded\"", |count| {
            count as usize == all.len() - dead
        })
        .await;
    worker
        .wait_metric("worker_breaker_open", "", |open| open == 0.0)
        .await;
}
