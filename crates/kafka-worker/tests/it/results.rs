//! The result topic takes less than jobs bring: the partition must not wait for it.

use mcp_testkit::{Kafka, NewRecord, Reply, StubServer};

use crate::setting::{Setting, tool_job};
use crate::worker::SOON;

#[tokio::test]
async fn a_result_that_the_topic_does_not_take_is_written_without_its_contents() {
    let kafka = Kafka::shared().await;
    let setting = Setting::new(kafka, "large-results", 1).await;
    let small = [("max.message.bytes", "2000")];
    let results = kafka.new_topic("small", 1, &small).await;
    let server = StubServer::start(async |_| Reply::text(&"x".repeat(5_000))).await;
    setting.submit(tool_job("large-answer", "x")).await;
    let large_key = [b'k'; 4_000];
    setting
        .submit(tool_job("large-key", "x").key(large_key))
        .await;
    setting
        .submit(NewRecord::value("poison").key(large_key))
        .await;

    let _worker = setting
        .worker(&server)
        .var("KAFKA_RESULT_TOPIC", &results)
        .var("WORKER_ORDERING", "partition")
        .start()
        .await;
    setting.wait_all_committed().await;

    let told = kafka.read_until(&results, 3, SOON).await;
    let [answer, key, poison] = &told[..] else {
        panic!("three results: {told:#?}")
    };
    assert_eq!(answer.json()["jobID"], "large-answer");
    assert!(answer.json()["result"]["omittedBytes"].as_u64() > Some(5_000));
    assert_eq!(key.json()["status"], "succeeded");
    assert_eq!(key.key_text().as_deref(), Some("large-key"));
    assert_eq!(poison.json()["status"], "dead-lettered");
    assert_eq!(poison.json()["error"]["code"], "invalid-record");
}
