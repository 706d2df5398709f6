use mcp_testkit::{Kafka, Reply, StubServer};

use crate::protocol::{Protocol, by_both_protocols};
use crate::setting::{Setting, gated_server, jobs_of, repeated, tool_job};
use crate::worker::SOON;

#[tokio::test]
async fn a_job_in_flight_may_finish_and_is_committed_and_what_waits_is_not_started() {
    let setting = Setting::new(Kafka::shared().await, "drain", 1).await;
    let (gate, server) = gated_server().await;
    for job in ["in flight", "waiting"] {
        setting.submit(tool_job(job, "x")).await;
    }
    let build = || setting.worker(&server).var("WORKER_CONCURRENCY", 1).start();
    let mut worker = build().await;
    server.wait_calls(1, SOON).await;

    worker.process.terminate();
    worker.wait_not_ready("stopping", "").await;
    worker
        .process
        .wait_for_line("no further job is started", SOON)
        .await;
    gate.add_permits(1);
    let status = worker.process.wait_exit(SOON).await;

    assert!(status.success(), "{status}");
    assert_eq!(setting.committed().await, [Some(1)]);
    assert_eq!(server.calls().len(), 1);
    let _next = build().await;
    setting.wait_all_committed().await;
    assert_eq!(repeated(&server), Vec::<String>::new());
    assert_eq!(server.calls().len(), 2);
}

async fn a_job_that_does_not_finish_is_given_up_at_the_cap_and_comes_again_elsewhere(
    protocol: Protocol,
) {
    let setting = protocol.setting("cap", 1).await;
    let server = StubServer::start(async |call| match (&*call.tool, call.attempt) {
        ("hang", 1) => Reply::Hang,
        ("retry", 1) => Reply::status(503).header("Retry-After", "200"),
        _ => Reply::text("done"),
    })
    .await;
    setting.submit(tool_job("quick", "x").key("a")).await;
    setting.submit(tool_job("hangs", "hang").key("b")).await;
    setting.submit(tool_job("parked", "retry").key("c")).await;
    let build = || {
        protocol
            .worker(&setting, &server)
            .var("WORKER_DRAIN_MS", 300)
    };
    let mut worker = build().start().await;
    server.wait_calls(3, SOON).await;
    // Another member of the group is there already; the only partition may come its way at once.
    let _other = build().start_ready().await;

    worker.leave().await;

    setting.wait_all_committed().await;
    let mut calls = jobs_of(&server.calls());
    calls.sort();
    assert_eq!(calls, ["hangs", "hangs", "parked", "parked", "quick"]);
}

by_both_protocols!(a_job_that_does_not_finish_is_given_up_at_the_cap_and_comes_again_elsewhere);
