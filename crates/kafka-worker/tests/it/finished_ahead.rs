//! What is finished behind a job that is not: it does not come again, however its worker ended.

use mcp_testkit::{Kafka, Reply, StubServer, eventually};

use crate::protocol::{Protocol, by_both_protocols};
use crate::setting::{Setting, answered, ids, repeated, tool_job, wait_answered};
use crate::worker::{SOON, Worker, WorkerBuilder};

/// A worker that has finished all jobs but the first one, which hangs in its first call.
async fn stuck(protocol: Protocol) -> (Setting<'static>, StubServer, WorkerBuilder, Worker) {
    let setting = protocol.setting("ahead", 1).await;
    let server = StubServer::start(async |call| match (&*call.tool, call.attempt) {
        ("hang", 1) => Reply::Hang,
        _ => Reply::text("done"),
    })
    .await;
    setting.submit(tool_job("stuck", "hang").key("stuck")).await;
    let others = ids("job", 200);
    setting
        .submit_all(others.iter().map(|id| tool_job(id, "x").key(id)))
        .await;
    let build = protocol
        .worker(&setting, &server)
        .var("WORKER_DRAIN_MS", 300);
    let worker = build.clone().start().await;
    wait_answered(&server, &others, SOON).await;
    (setting, server, build, worker)
}

async fn only_the_stuck_one_came_again(setting: &Setting<'_>, server: &StubServer) {
    setting.wait_all_committed().await;
    assert_eq!(repeated(server), ["stuck"]);
    assert!(answered(server).contains(&"stuck".to_owned()));
}

async fn after_a_stop_only_what_was_not_finished_comes_again(protocol: Protocol) {
    let (setting, server, build, mut worker) = stuck(protocol).await;
    worker.leave().await;
    assert_eq!(setting.committed().await, [Some(0)]);
    let _next = build.start().await;
    only_the_stuck_one_came_again(&setting, &server).await;
}

by_both_protocols!(after_a_stop_only_what_was_not_finished_comes_again);

async fn after_a_kill_only_what_was_not_committed_comes_again(protocol: Protocol) {
    let (setting, server, build, mut worker) = stuck(protocol).await;
    // The offset stands still, and what is finished behind it is told all the same.
    let told = async || {
        let (group, topic) = (&setting.group, &setting.jobs);
        let told = setting.kafka.committed_metadata(group, topic).await;
        match told[0].trim_end().ends_with(" 1+200") {
            true => Ok(()),
            false => Err(format!("{told:?}")),
        }
    };
    eventually(SOON, told).await;
    worker.process.kill9();
    let _next = build.start().await;
    only_the_stuck_one_came_again(&setting, &server).await;
}

by_both_protocols!(after_a_kill_only_what_was_not_committed_comes_again);

#[tokio::test]
async fn a_broker_that_takes_no_text_gets_none_and_the_offsets_all_the_same() {
    let kafka = Kafka::builder()
        .property("offset.metadata.max.bytes", 100)
        .start()
        .await;
    let setting = Setting::new(&kafka, "no-room", 2).await;
    let server = StubServer::start(async |call| match (&*call.tool, call.attempt) {
        ("hang", 1) => Reply::Hang,
        _ => Reply::text("done"),
    })
    .await;
    let others = ids("job", 20);
    setting.submit(tool_job("stuck", "hang").partition(0)).await;
    for (number, id) in (0..).zip(&others) {
        setting
            .submit(tool_job(id, "x").partition(number % 2))
            .await;
    }
    let build = setting.worker(&server).var("WORKER_DRAIN_MS", 300);
    let mut worker = build.clone().start().await;
    let wanted = [None, Some(10)];
    setting
        .kafka
        .wait_committed(&setting.group, &setting.jobs, &wanted, SOON)
        .await;
    worker
        .process
        .wait_for_line("offset.metadata.max.bytes", SOON)
        .await;
    worker.leave().await;
    let _next = build.start().await;
    setting.wait_all_committed().await;
}
