//! A topic that is made anew under a running worker begins at offset 0 again: its jobs are other jobs.

use mcp_testkit::{Kafka, Reply, StubServer};

use crate::setting::{Setting, answered, ids, tool_job, wait_answered};
use crate::worker::SOON;

#[tokio::test]
async fn jobs_of_a_topic_that_was_made_anew_are_all_done() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "made-anew", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let before = ids("before", 20);
    setting
        .submit_all(before.iter().map(|id| tool_job(id, "x")))
        .await;
    let mut worker = setting
        .worker(&server)
        .var("KAFKA_PROPERTY_TOPIC_METADATA_REFRESH_INTERVAL_MS", 500)
        .start()
        .await;
    wait_answered(&server, &before, SOON).await;
    setting.wait_all_committed().await;

    kafka.delete_topic(&setting.jobs).await;
    kafka.create_topic(&setting.jobs, 1, &[]).await;
    // Fewer than before: a reader whose position lies within the new log can not know that it is another one.
    let after = ids("after", 10);
    setting
        .submit_all(after.iter().map(|id| tool_job(id, "x")))
        .await;

    wait_answered(&server, &after, SOON).await;
    setting.wait_all_committed().await;
    assert!(answered(&server).len() >= before.len() + after.len());
    worker.wait_ready().await;
}
