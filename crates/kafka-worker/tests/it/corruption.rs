//! A disk that has lost bits.

use std::time::Duration;

use mcp_testkit::{Damage, Kafka, Reply, StubServer, eventually};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::setting::{Setting, jobs_of, wait_answered};
use crate::worker::SOON;

const REQUEST: Duration = Duration::from_secs(30);

/// Three batches of three jobs in each partition.
fn produce(bootstrap: &str, topic: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "200")
        .create()
        .expect("a producer");
    for batch in ["a", "b", "c"] {
        for partition in 0..3 {
            for number in 0..3 {
                let id = format!("{batch}{partition}-{number}");
                let job = json!({"jobID": id, "jobType": "tool-call", "payload": {"tool": "t"}});
                let value = job.to_string();
                let record = BaseRecord::<(), str>::to(topic);
                let record = record.partition(partition).payload(&value);
                producer
                    .send(record)
                    .map_err(|(error, _)| error)
                    .expect("room in the queue");
            }
        }
        producer.flush(REQUEST).expect("a broker");
    }
}

/// What an operator does with `kafka-consumer-groups.sh --reset-offsets`, while the group has no member.
fn skip_to(bootstrap: &str, group: &str, topic: &str, partitions: &[i32], offset: i64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .create()
        .expect("a consumer");
    let mut offsets = TopicPartitionList::new();
    for partition in partitions {
        offsets
            .add_partition_offset(topic, *partition, Offset::Offset(offset))
            .expect("an offset");
    }
    consumer
        .commit(&offsets, CommitMode::Sync)
        .expect("a group without members");
}

/// The jobs of these batches, `a`, `b` or `c`, in these partitions.
fn jobs(batches: &str, partitions: &[i32]) -> Vec<String> {
    let of = |batch, partition| (0..3).map(move |number| format!("{batch}{partition}-{number}"));
    let all = batches.chars().flat_map(|batch| {
        let partitions = partitions.iter();
        partitions.flat_map(move |partition| of(batch, *partition))
    });
    all.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupt_batch_is_named_and_nothing_passes_it_while_other_partitions_go_on() {
    let mut kafka = Kafka::start().await;
    let topic = kafka.new_topic("corrupt", 3, &[]).await;
    kafka.create_topic(&format!("{topic}-dlq"), 1, &[]).await;
    let target = (kafka.bootstrap(), topic.clone());
    spawn_blocking(move || produce(&target.0, &target.1))
        .await
        .expect("it produces");
    kafka.stop().await;
    let changed = kafka.corrupt(&topic, 0, 4, Damage::Text("b0-1"));
    let torn = kafka.corrupt(&topic, 1, 4, Damage::Structure);
    assert_eq!(
        (changed, torn),
        ((3, 5), (3, 5)),
        "each batch has three records"
    );
    kafka.start_again().await;
    let setting = Setting {
        dead: format!("{topic}-dlq"),
        group: format!("group-of-{topic}"),
        jobs: topic.clone(),
        kafka: &kafka,
    };
    let server = StubServer::start(async |_| Reply::text("done")).await;

    let mut worker = setting.worker(&server).start().await;
    worker.wait_not_ready("records", "offset 3").await;
    eventually(SOON, async || {
        let told = [0, 1].map(|partition| {
            let at = format!("topic=\"{topic}\" partition={partition} offset=3");
            let log = worker.process.output();
            log.iter()
                .any(|line| line.contains(&at) && line.contains("corrupt"))
        });
        match told {
            [true, true] => Ok(()),
            told => Err(format!("{told:?}:\n{}", worker.log())),
        }
    })
    .await;
    let wanted = [Some(3), Some(3), Some(9)];
    let (group, topic) = (&setting.group, &setting.jobs);
    kafka.wait_committed(group, topic, &wanted, SOON).await;
    worker.leave().await;
    let mut called = jobs_of(&server.calls());
    called.sort();
    let mut expected = [jobs("a", &[0, 1]), jobs("abc", &[2])].concat();
    expected.sort();
    assert_eq!(called, expected);
    assert_eq!(setting.committed().await, wanted);

    let target = (kafka.bootstrap(), group.clone(), topic.clone());
    spawn_blocking(move || skip_to(&target.0, &target.1, &target.2, &[0, 1], 6))
        .await
        .expect("it commits");
    let mut worker = setting.worker(&server).start().await;
    wait_answered(&server, &jobs("c", &[0, 1]), SOON).await;
    setting.wait_all_committed().await;
    worker.wait_ready().await;
    assert_eq!(server.calls().len(), expected.len() + 6);
    assert_eq!(kafka.end_offsets(&setting.dead).await, [0]);
}
