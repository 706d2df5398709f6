use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};

use crate::setting::{Setting, answered, tool_job};

#[tokio::test]
async fn a_record_that_the_dead_letter_topic_does_not_take_goes_there_without_its_value() {
    let kafka = Kafka::shared().await;
    let setting = Setting::without_dead_letters(kafka, "too-large", 1).await;
    let small = [("max.message.bytes", "3000")];
    kafka.create_topic(&setting.dead, 1, &small).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let large = NewRecord::value([b'x'; 5_000])
        .key("k")
        .header("tenant", "a");
    setting.submit(large).await;
    // Its headers and key alone are too much as well.
    let larger = NewRecord::value([b'y'; 6_000])
        .key([b'k'; 2_000])
        .header("large", [b'z'; 2_000]);
    setting.submit(larger).await;
    setting.submit(tool_job("next", "x")).await;

    let _worker = setting
        .worker(&server)
        .var("WORKER_ORDERING", "partition")
        .start()
        .await;
    setting.wait_all_committed().await;

    let letters = setting.dead_letters(2).await;
    let first = &letters[0];
    assert_eq!(first.value, Some(Vec::new()));
    assert_eq!(first.key_text().as_deref(), Some("k"));
    assert_eq!(first.header("tenant").as_deref(), Some("a"));
    assert_eq!(first.header("mcp.value.omitted").as_deref(), Some("5000"));
    assert_eq!(
        first.header("mcp.error.code").as_deref(),
        Some("invalid-record")
    );
    assert_eq!(first.header("__dlq.errors.offset").as_deref(), Some("0"));
    let second = &letters[1];
    assert_eq!(second.header("mcp.value.omitted").as_deref(), Some("6000"));
    assert_eq!(second.header("__dlq.errors.offset").as_deref(), Some("1"));
    assert_eq!(answered(&server), ["next"]);
}

#[tokio::test]
async fn without_a_dead_letter_topic_nothing_is_lost_and_ready_says_so() {
    let kafka = Kafka::shared().await;
    let setting = Setting::without_dead_letters(kafka, "no-letters", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    setting.submit(tool_job("before", "x")).await;
    setting.submit(NewRecord::value("poison")).await;
    setting.submit(tool_job("behind", "x")).await;

    let mut worker = setting.worker(&server).start().await;
    let reason = worker.wait_not_ready("outbox", &setting.dead).await;
    assert!(reason.contains("does not exist"), "{reason}");
    let committed = setting.committed().await;
    assert!(
        committed[0].is_none_or(|offset| offset <= 1),
        "{committed:?}"
    );

    kafka.create_topic(&setting.dead, 1, &[]).await;
    assert_eq!(setting.dead_letters(1).await[0].text(), "poison");
    setting.wait_all_committed().await;
    worker.wait_ready().await;
    assert_eq!(answered(&server).len(), 2);
}
