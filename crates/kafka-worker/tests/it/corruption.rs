//! A disk that has lost bits.

use std::time::Duration;

use mcp_testkit::{Damage, Kafka, Reply, StubServer, eventually};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::setting::{Setting, jobs_of, repeated, tool_job, wait_answered};
use crate::worker::SOON;

const REQUEST: Duration = Duration::from_secs(30);

/// Three batches of three jobs in each of the first partitions.
fn produce(bootstrap: &str, topic: &str, partitions: i32) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "200")
        .create()
        .expect("a producer");
    for batch in ["a", "b", "c"] {
        for partition in 0..partitions {
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
    spawn_blocking(move || produce(&target.0, &target.1, 3))
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_starts_before_a_corrupt_batch_fences_its_partition_and_none_that_is_sound() {
    let mut kafka = Kafka::start().await;
    let setting = Setting::new(&kafka, "corrupt-before", 6).await;
    let (jobs, dead, group) = (setting.jobs, setting.dead, setting.group);
    let target = (kafka.bootstrap(), jobs.clone());
    spawn_blocking(move || produce(&target.0, &target.1, 1))
        .await
        .expect("it produces");
    kafka.stop().await;
    let changed = kafka.corrupt(&jobs, 0, 4, Damage::Text("b0-1"));
    assert_eq!(changed, (3, 5), "each batch has three records");
    kafka.start_again().await;
    let setting = Setting {
        kafka: &kafka,
        jobs,
        dead,
        group,
    };
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let here = "partition 0: the batch at offset 3 is corrupt";
    let mut first = setting.worker(&server).start().await;
    first.wait_not_ready("records", here).await;
    first.leave().await;
    assert_eq!(setting.committed().await[0], Some(3));

    // The others come nearer to offset 3 than a partition of which the next worker has received nothing.
    let in_others = async |name: &str, count: i32| {
        let ids = (0..5 * count).map(|number| (format!("{name}-{number}"), 1 + number % 5));
        let ids: Vec<_> = ids.collect();
        let jobs = ids.iter();
        let jobs = jobs.map(|(id, partition)| tool_job(id, "x").partition(*partition));
        setting.submit_all(jobs).await;
        ids.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let before = in_others("before", 2).await;
    let next = setting.worker(&server).start().await;
    next.wait_not_ready("records", here).await;
    wait_answered(&server, &before, SOON).await;
    let after = in_others("after", 3).await;
    wait_answered(&server, &after, SOON).await;
    let sound = [Some(5); 5];
    let wanted = [&[Some(3)], &sound[..]].concat();
    kafka
        .wait_committed(&setting.group, &setting.jobs, &wanted, SOON)
        .await;
    let reason = next.wait_not_ready("records", here).await;
    assert_eq!(reason.matches("is corrupt").count(), 1, "{reason}");
    let count = next.metric("worker_partitions_corrupt", "").await;
    assert_eq!(count, Ok(1.0));
    assert_eq!(repeated(&server), Vec::<String>::new());
}
