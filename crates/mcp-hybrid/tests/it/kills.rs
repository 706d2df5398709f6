//! SIGKILL while a launch is under way.

use serde_json::json;

use crate::pair::Pair;
use crate::processes::{below, marked, wait_for, wait_for_none, wait_gone};

/// A pair with a job whose program hangs, with a daemon of its own beside it.
async fn launching(name: &str) -> Pair {
    let pair = Pair::start(name, "").await;
    pair.submit(name, json!({"once": pair.python("hangs_once.py")}))
        .await;
    let mark = pair.mark();
    wait_for(2, || marked(&mark)).await;
    pair
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_no_program_and_its_job_is_done_by_the_next_one() {
    let mut pair = launching("server-killed").await;
    let started = below(pair.server.id());
    assert!(started.len() >= 3, "launcher, program, daemon: {started:?}");
    pair.server.kill9();
    wait_gone(&started).await;
    let mark = pair.mark();
    wait_for_none(|| marked(&mark)).await;
    pair.worker
        .wait_for_line("server-unreachable", crate::pair::SOON)
        .await;
    assert_eq!(pair.committed().await, [None, None]);
    assert_eq!(pair.dead_letters().await, 0);

    pair.start_server_again().await;
    let told = pair.results(1).await.remove(0);
    assert_eq!(told["status"], "succeeded", "{told}");
    // The lost connection began the outage, so it is given back; while nobody listened none was spent.
    assert_eq!(told["attempts"], 1, "{told}");
    assert_eq!(told["result"]["once"]["tools"][0]["name"], "ping");
    pair.wait_all_committed().await;
    assert_eq!(pair.dead_letters().await, 0);
    let server = pair.server.id();
    wait_for_none(|| [marked(&mark), below(server)].concat()).await;
}

#[tokio::test]
async fn a_worker_that_is_killed_has_committed_nothing_and_its_job_is_done_by_the_next_one() {
    let mut pair = launching("worker-killed").await;
    let started = below(pair.server.id());
    pair.worker.kill9();
    // The server ends what nobody waits for any more.
    wait_gone(&started).await;
    assert_eq!(pair.committed().await, [None, None]);

    pair.start_worker_again().await;
    let told = pair.results(1).await.remove(0);
    assert_eq!(told["status"], "succeeded", "{told}");
    pair.wait_all_committed().await;
    assert_eq!(pair.dead_letters().await, 0);
    let mark = pair.mark();
    wait_for_none(|| marked(&mark)).await;
}
