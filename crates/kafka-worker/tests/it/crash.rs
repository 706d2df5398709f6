use std::cell::RefCell;

use mcp_testkit::{Kafka, Reply, StubServer};

use crate::protocol::{Protocol, by_both_protocols};
use crate::setting::{Ledger, Setting, answered, ids, jobs_of, repeated, tool_job, wait_answered};
use crate::worker::SOON;

async fn kill_9_in_the_middle_of_a_job_loses_nothing_and_commits_nothing_early(protocol: Protocol) {
    let setting = protocol.setting("kill", 2).await;
    // The slow job hangs until the worker that runs it is killed.
    let server = StubServer::start(async |call| match (&*call.tool, call.attempt) {
        ("slow", 1) => Reply::Hang,
        _ => Reply::text("done"),
    })
    .await;
    let ledger = RefCell::new(Ledger::new());
    let submit = async |partition: i32, id: &str, tool: &str| {
        let record = tool_job(id, tool).key(id).partition(partition);
        let at = setting.submit(record).await;
        ledger.borrow_mut().push((at, id.to_owned()));
    };
    submit(0, "first", "slow").await;
    for id in ids("behind", 20) {
        submit(0, &id, "fast").await;
    }
    for id in ids("beside", 5) {
        submit(1, &id, "fast").await;
    }
    let all: Vec<_> = ledger.borrow().iter().map(|(_, id)| id.clone()).collect();

    let scenario = async {
        let build = || protocol.worker(&setting, &server);
        let mut first = build().start().await;
        wait_answered(&server, &all[1..], SOON).await;
        // The other partition is committed, and this one only with what is finished behind its first job.
        setting
            .kafka
            .wait_committed(&setting.group, &setting.jobs, &[Some(0), Some(5)], SOON)
            .await;
        first.process.kill9();

        let _second = build().start().await;
        wait_answered(&server, &all, SOON).await;
        setting.wait_all_committed().await;
    };
    setting
        .watch_commits(&ledger, || answered(&server), scenario)
        .await;

    let of_first = jobs_of(&server.calls())
        .iter()
        .filter(|job| *job == "first")
        .count();
    assert_eq!(of_first, 2);
    let beside = repeated(&server)
        .iter()
        .any(|job| job.starts_with("beside"));
    assert!(!beside, "what was committed came again");
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

by_both_protocols!(kill_9_in_the_middle_of_a_job_loses_nothing_and_commits_nothing_early);

#[tokio::test]
async fn a_restarted_group_resumes_at_the_committed_offset() {
    let setting = Setting::new(Kafka::shared().await, "resume", 3).await;
    let server = StubServer::start(async |_| Reply::text("done")).await;
    let (before, between) = (ids("before", 12), ids("between", 12));
    let submit = async |ids: &[String]| {
        let jobs = ids.iter().map(|id| tool_job(id, "x").key(id));
        setting.submit_all(jobs).await;
    };

    submit(&before).await;
    let mut worker = setting.worker(&server).start().await;
    wait_answered(&server, &before, SOON).await;
    worker.leave().await;
    submit(&between).await;
    let _worker = setting.worker(&server).start().await;
    wait_answered(&server, &between, SOON).await;
    setting.wait_all_committed().await;

    assert_eq!(repeated(&server), Vec::<String>::new());
    assert_eq!(server.calls().len(), 24);
}
