use std::time::Duration;

use mcp_testkit::{Kafka, Reply, StubServer, eventually};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::setting::{Setting, jobs_of, tool_job};
use crate::worker::SOON;

const REQUEST: Duration = Duration::from_secs(30);

/// Produces each batch in a transaction of its own, and commits or aborts it.
fn transactions(bootstrap: &str, topic: &str, batches: &[(&str, usize, bool)]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", topic)
        .create()
        .expect("a producer");
    producer.init_transactions(REQUEST).expect("a coordinator");
    for (name, count, commit) in batches {
        producer.begin_transaction().expect("no other transaction");
        for number in 0..*count {
            let payload = json!({"tool": "t"});
            let job = json!({"jobID": format!("{name}-{number}"), "jobType": "tool-call", "payload": payload});
            let value = job.to_string();
            let record = BaseRecord::<(), str>::to(topic).payload(&value);
            producer
                .send(record)
                .map_err(|(error, _)| error)
                .expect("room in the queue");
        }
        match commit {
            true => producer.commit_transaction(REQUEST),
            false => {
                producer.flush(REQUEST).expect("a broker");
                producer.abort_transaction(REQUEST)
            }
        }
        .expect("a coordinator");
    }
}

#[tokio::test]
async fn aborted_transactions_leave_gaps_that_hold_nothing_up() {
    let setting = Setting::new(Kafka::shared().await, "transactions", 1).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let (bootstrap, topic) = (setting.kafka.bootstrap(), setting.jobs.clone());
    let batches = [
        ("a", 2, true),
        ("never", 3, false),
        ("b", 2, true),
        ("never", 2, false),
    ];
    spawn_blocking(move || transactions(&bootstrap, &topic, &batches))
        .await
        .expect("it produces");
    // The coordinator writes its markers when the producer has long been answered. A marker behind the last record would
    // never be committed, for no consumer gets it.
    let markers = batches.len();
    let records: usize = batches.iter().map(|(_, count, _)| count).sum();
    eventually(SOON, async || {
        let ends = setting.kafka.end_offsets(&setting.jobs).await;
        let written = ends == [(records + markers) as i64];
        written.then_some(()).ok_or_else(|| format!("{ends:?}"))
    })
    .await;

    setting.submit(tool_job("last", "t")).await;

    let _worker = setting.worker(&server).start().await;
    setting.wait_all_committed().await;

    let mut jobs = jobs_of(&server.calls());
    jobs.sort();
    assert_eq!(jobs, ["a-0", "a-1", "b-0", "b-1", "last"]);
}
