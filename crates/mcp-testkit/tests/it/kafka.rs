use std::time::Duration;

use mcp_testkit::{Kafka, NewRecord};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_record_comes_back_byte_for_byte() {
    let kafka = Kafka::shared().await;
    let topic = kafka.new_topic("bytes", 2, &[]).await;

    let record = NewRecord::value(b"\xff\x00 value")
        .key(b"\xfekey")
        .header("same", "first")
        .header("same", b"\xfd")
        .null_header("nothing")
        .partition(1);
    let (partition, offset) = kafka.send(&topic, record).await;

    assert_eq!((partition, offset), (1, 0));
    let [read] = &kafka.read_until(&topic, 1, SOON).await[..] else {
        panic!("there is one record");
    };
    assert_eq!(read.value.as_deref(), Some(&b"\xff\x00 value"[..]));
    assert_eq!(read.key.as_deref(), Some(&b"\xfekey"[..]));
    let headers = [
        ("same".to_owned(), Some(b"first".to_vec())),
        ("same".to_owned(), Some(b"\xfd".to_vec())),
        ("nothing".to_owned(), None),
    ];
    assert_eq!(read.headers, headers);
    assert!(read.timestamp > 0);
}

#[tokio::test]
async fn null_and_empty_values_differ() {
    let kafka = Kafka::shared().await;
    let topic = kafka.new_topic("null", 1, &[]).await;
    kafka.send(&topic, NewRecord::null().key("k")).await;
    kafka.send(&topic, NewRecord::value("")).await;

    let records = kafka.read_all(&topic).await;

    assert_eq!(records[0].value, None);
    assert_eq!(records[1].value, Some(Vec::new()));
    assert_eq!(records[1].key, None);
}

#[tokio::test]
async fn committed_offsets_are_seen_from_outside_the_group() {
    let kafka = Kafka::shared().await;
    let topic = kafka.new_topic("committed", 3, &[]).await;
    let group = format!("group of {topic}");
    assert_eq!(kafka.committed(&group, &topic).await, [None, None, None]);

    let member: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .set("group.id", &group)
        .create()
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(&topic, 1, Offset::Offset(7))
        .unwrap();
    member.commit(&offsets, CommitMode::Sync).unwrap();

    let wanted = [None, Some(7), None];
    kafka.wait_committed(&group, &topic, &wanted, SOON).await;
}

#[tokio::test]
async fn a_topic_has_its_own_limits_and_an_end() {
    let kafka = Kafka::shared().await;
    let topic = kafka
        .new_topic("small", 1, &[("max.message.bytes", "1000")])
        .await;
    kafka.produce(&topic, "a", "fits").await;

    let refused = kafka.try_send(&topic, NewRecord::value([b'x'; 5000])).await;

    let error = refused.unwrap_err().to_string();
    assert!(error.contains("MessageSizeTooLarge"), "{error}");
    assert_eq!(kafka.end_offsets(&topic).await, [1]);
    kafka.delete_topic(&topic).await;
}

#[tokio::test]
async fn records_survive_a_stop_and_a_kill() {
    let mut kafka = Kafka::start().await;
    let topic = kafka.new_topic("durable", 1, &[]).await;
    let bootstrap = kafka.bootstrap();
    kafka.produce(&topic, "a", "before the stop").await;

    kafka.stop().await;
    kafka.start_again().await;
    kafka.produce(&topic, "a", "before the kill").await;
    kafka.kill();
    kafka.start_again().await;

    assert_eq!(kafka.bootstrap(), bootstrap);
    let records = kafka.read_until(&topic, 2, SOON).await;
    assert_eq!(records[0].text(), "before the stop");
    assert_eq!(records[1].text(), "before the kill");
}
