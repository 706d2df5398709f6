//! A broker that does not let the worker do what it must: it says what is missing, and goes on once it is there.

use mcp_testkit::{Kafka, NewRecord, Operation, Reply, Resource, StubServer};
use tempfile::TempDir;

use crate::security::with_properties;
use crate::setting::{Setting, answered, tool_job, wait_answered};
use crate::worker::SOON;

#[tokio::test]
async fn a_topic_that_does_not_exist_is_named_and_read_once_it_does() {
    let kafka = Kafka::shared().await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let jobs = kafka.new_topic("late-topic", 1, &[]).await;
    kafka.delete_topic(&jobs).await;
    let setting = Setting {
        dead: format!("{jobs}-dlq"),
        group: format!("group-of-{jobs}"),
        kafka,
        jobs,
    };
    let mut worker = setting
        .worker(&server)
        .var("KAFKA_PROPERTY_TOPIC_METADATA_REFRESH_INTERVAL_MS", 500)
        .start()
        .await;
    let reason = worker.wait_not_ready("group", &setting.jobs).await;
    assert!(reason.contains("does not exist"), "{reason}");

    kafka.create_topic(&setting.jobs, 2, &[]).await;
    worker.wait_ready().await;
    setting.submit(tool_job("late", "x")).await;
    wait_answered(&server, &["late".to_owned()], SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_missing_permission_is_named_and_once_it_is_given_work_goes_on() {
    let kafka = Kafka::builder().sasl_ssl().acls().start().await;
    let listener = kafka.sasl_ssl();
    let folder = TempDir::new().expect("a temporary folder");
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let setting = Setting::new(&kafka, "acl", 1).await;
    setting.submit(tool_job("good", "x")).await;
    setting.submit(NewRecord::value("poison")).await;
    let allow = async |operation, resource| kafka.allow(listener.user(), operation, resource).await;

    let build = || {
        let worker = setting
            .worker(&server)
            .var("KAFKA_PROPERTY_TOPIC_METADATA_REFRESH_INTERVAL_MS", 500);
        with_properties(worker, listener.client_properties("PLAIN"), &folder)
    };
    // Who may write to no topic at all gets no idempotent producer, and that is for good in a process: it ends soon.
    let mut first = build().start().await;
    first.wait_not_ready("outbox", "to no topic").await;
    let status = first.process.wait_exit(SOON).await;
    assert_eq!(status.code(), Some(1), "{status}: {}", first.log());

    kafka.create_topic("elsewhere", 1, &[]).await;
    allow(Operation::Write, Resource::Topic("elsewhere")).await;
    let mut worker = build().start().await;
    worker
        .wait_not_ready("broker", "check its credentials and ACLs")
        .await;
    allow(Operation::Read, Resource::Group(&setting.group)).await;
    let reason = worker.wait_not_ready("group", &setting.jobs).await;
    assert!(reason.contains("check its ACL"), "{reason}");
    assert!(server.calls().is_empty());
    allow(Operation::Read, Resource::Topic(&setting.jobs)).await;
    let reason = worker.wait_not_ready("outbox", &setting.dead).await;
    assert!(reason.contains("check its ACL"), "{reason}");
    assert_eq!(answered(&server), ["good"]);
    allow(Operation::Write, Resource::Topic(&setting.dead)).await;

    assert_eq!(setting.dead_letters(1).await[0].text(), "poison");
    setting.wait_all_committed().await;
    worker.wait_ready().await;
}
