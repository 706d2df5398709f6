use std::time::Duration;

use mcp_testkit::{Kafka, NewRecord, Reply, StubServer, eventually};

use crate::setting::{Setting, answered, ids, repeated, tool_job, wait_answered};
use crate::worker::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_may_be_down_at_the_start_and_restart_in_the_middle() {
    let mut kafka = Kafka::start().await;
    let jobs = kafka.new_topic("restart", 3, &[]).await;
    let dead = format!("{jobs}-dlq");
    kafka.create_topic(&dead, 1, &[]).await;
    let server =
        StubServer::start(async |_| Reply::text("done").after(Duration::from_millis(100))).await;
    let all = ids("job", 90);
    for id in &all {
        kafka.send(&jobs, tool_job(id, "x").key(id)).await;
    }
    kafka.send(&jobs, NewRecord::value("poison")).await;
    kafka.stop().await;
    let builder = |kafka: &Kafka| {
        let setting = Setting {
            kafka,
            jobs: jobs.clone(),
            dead: dead.clone(),
            group: "restart".into(),
        };
        setting.worker(&server).var("WORKER_CONCURRENCY", 4)
    };
    let mut worker = builder(&kafka).start().await;
    worker.wait_not_ready("broker", "no broker").await;

    kafka.start_again().await;
    server.wait_ended(10, SOON).await;
    kafka.stop().await;
    let done_before = answered(&server).len();
    kafka.start_again().await;
    wait_answered(&server, &all, SOON).await;

    let setting = Setting {
        kafka: &kafka,
        jobs: jobs.clone(),
        dead: dead.clone(),
        group: "restart".into(),
    };
    setting.wait_all_committed().await;
    assert!(
        done_before < all.len(),
        "the restart came too late to prove anything"
    );
    // A stop between a dead letter and its commit brings the record again: at least once, and nothing else.
    let letters = kafka.read_all(&dead).await;
    assert!(!letters.is_empty() && letters.iter().all(|letter| letter.text() == "poison"));
    worker.wait_ready().await;
}

#[tokio::test]
async fn while_the_server_is_down_nothing_is_spent_and_nothing_dead_lettered() {
    let setting = Setting::new(Kafka::shared().await, "server-down", 1).await;
    let mut server =
        StubServer::down(async |_| Reply::text("done").after(Duration::from_millis(50))).await;
    let all = ids("job", 8);
    setting
        .submit_all(all.iter().map(|id| tool_job(id, "x")))
        .await;

    let mut worker = setting
        .worker(&server)
        .var("WORKER_MAX_ATTEMPTS", 2)
        // Shorter than the outage: the time in which the server is down does not count.
        .var("WORKER_JOB_DEADLINE_MS", 1_500)
        .start()
        .await;
    let reason = worker.wait_not_ready("server", "down").await;
    assert!(reason.contains("server-unreachable"), "{reason}");
    // The waits between the questions double from 250 ms.
    eventually(SOON, async || {
        let asked = worker
            .log()
            .matches("the server was asked whether it is ready")
            .count();
        if asked >= 3 {
            Ok(())
        } else {
            Err(format!("{asked} times asked"))
        }
    })
    .await;
    server.start_again().await;

    setting.wait_all_committed().await;
    worker.wait_ready().await;
    assert_eq!(answered(&server).len(), all.len());
    assert_eq!(repeated(&server), Vec::<String>::new());
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn a_job_that_is_its_own_trouble_does_not_prolong_an_outage() {
    let setting = Setting::new(Kafka::shared().await, "own-trouble", 1).await;
    let mut server = StubServer::down(async |call| match &*call.tool {
        "reset" => Reply::Reset,
        _ => Reply::text("done"),
    })
    .await;
    setting.submit(tool_job("bad", "reset")).await;
    setting.submit(tool_job("good", "x")).await;

    let mut worker = setting
        .worker(&server)
        .var("WORKER_CONCURRENCY", 1)
        .var("WORKER_ORDERING", "partition")
        .var("WORKER_MAX_ATTEMPTS", 2)
        .start()
        .await;
    worker.wait_not_ready("server", "down").await;
    server.start_again().await;

    setting.wait_all_committed().await;
    let letters = setting.dead_letters(1).await;
    assert_eq!(letters[0].header("mcp.job.id").as_deref(), Some("bad"));
    assert_eq!(answered(&server), ["good"]);
    worker.wait_ready().await;
}
