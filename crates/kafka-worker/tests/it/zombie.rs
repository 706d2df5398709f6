//! A worker that stood still for longer than its session, and then goes on as if nothing had been.

use std::cell::RefCell;
use std::sync::Arc;

use mcp_testkit::{Reply, StubServer};
use tokio::sync::Semaphore;

use crate::protocol::{Protocol, by_both_protocols};
use crate::setting::{Ledger, answered, tool_job};
use crate::worker::SOON;

async fn a_zombie_commits_nothing_and_its_late_results_do_no_harm(protocol: Protocol) {
    let setting = protocol.setting("late", 3).await;
    let (for_zombie, for_heir) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let gates = (for_zombie.clone(), for_heir.clone());
    let server = StubServer::start(move |call| {
        let (for_zombie, for_heir) = gates.clone();
        async move {
            match (&*call.tool, call.attempt) {
                (_, 1) => drop(for_zombie.acquire().await),
                ("held", 2) => drop(for_heir.acquire().await),
                _ => {}
            }
            match (&*call.tool, call.attempt) {
                ("refused", 1) => Reply::tool_error("command-not-allowed", false, "no"),
                ("flaky", 1) => Reply::status(503),
                _ => Reply::text("done"),
            }
        }
    })
    .await;
    // The zombie's calls end late: with success, for good, and so that it would try again.
    let tools = ["held", "refused", "flaky"];
    let ledger = RefCell::new(Ledger::new());
    for (partition, tool) in (0..).zip(tools) {
        let at = setting
            .submit(tool_job(tool, tool).partition(partition))
            .await;
        ledger.borrow_mut().push((at, tool.to_owned()));
    }

    let scenario = async {
        let zombie = protocol.worker(&setting, &server).start().await;
        server.wait_calls(3, SOON).await;
        zombie.process.freeze();
        let mut heir = protocol.worker(&setting, &server).start().await;
        server.wait_calls(6, SOON).await;
        let wanted = [None, Some(1), Some(1)];
        setting
            .kafka
            .wait_committed(&setting.group, &setting.jobs, &wanted, SOON)
            .await;

        for_zombie.add_permits(3);
        server.wait_ended(5, SOON).await;
        zombie.process.resume();
        zombie
            .wait_metric("worker_rebalances_total", "lost", |count| count > 0.0)
            .await;
        // It is a member again: all that it had to say has been said.
        zombie
            .wait_metric("worker_rebalances_total", "assigned", |count| count > 1.0)
            .await;
        // The job that the heir still works on is as good as done for the zombie, and no one else.
        assert_eq!(setting.committed().await, wanted);
        for_heir.add_permits(1);
        setting.wait_all_committed().await;
        heir.leave().await;
        zombie
    };
    let zombie = setting
        .watch_commits(&ledger, || answered(&server), scenario)
        .await;

    // A retry that was due may have gone out in the moment before the loss was known; nothing else.
    let log = zombie.log();
    assert!(server.calls().len() <= 7, "{log}");
    assert!(!log.contains("job dead-lettered"), "{log}");
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0], "{log}");
}

by_both_protocols!(a_zombie_commits_nothing_and_its_late_results_do_no_harm);
