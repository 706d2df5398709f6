use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mcp_testkit::{Kafka, Reply, StubServer, eventually};

use crate::setting::{Setting, answered, ids, repeated, tool_job};
use crate::worker::SOON;

#[tokio::test]
async fn a_server_that_refuses_every_job_does_not_empty_the_topic_into_the_dead_letters() {
    every_job_is_refused(401, "unauthorized").await;
}

#[tokio::test]
async fn a_path_that_the_server_does_not_have_is_an_outage_too() {
    every_job_is_refused(404, "endpoint-not-found").await;
}

/// All calls are answered with `status`; then the server is repaired.
async fn every_job_is_refused(status: u16, code: &str) {
    let setting = Setting::new(Kafka::shared().await, "refused", 2).await;
    let repaired = Arc::new(AtomicBool::new(false));
    let state = repaired.clone();
    let server = StubServer::start(move |_| {
        let repaired = state.load(Ordering::Relaxed);
        async move {
            match repaired {
                true => Reply::text("done"),
                false => Reply::status(status),
            }
        }
    })
    .await;
    let all = ids("job", 100);
    setting
        .submit_all(all.iter().map(|id| tool_job(id, "x").key(id)))
        .await;

    let mut worker = setting
        .worker(&server)
        .var("WORKER_CONCURRENCY", 8)
        .start()
        .await;
    let reason = worker.wait_not_ready("server", code).await;
    assert!(reason.contains(&status.to_string()), "{reason}");
    worker
        .wait_metric("worker_breaker_open", "", |open| open == 1.0)
        .await;
    repaired.store(true, Ordering::Relaxed);
    setting.wait_all_committed().await;
    worker.wait_ready().await;

    let dead = setting.kafka.read_all(&setting.dead).await.len();
    assert_eq!(dead, 0);
    let done = &server.calls();
    let done = done.iter().filter(|seen| seen.ended.is_some()).count();
    assert!(done >= all.len());
    let ids: std::collections::HashSet<_> = answered(&server).into_iter().collect();
    assert_eq!(ids.len(), all.len());
    worker
        .wait_metric("worker_jobs_total", "status=\"succeeded\"", |count| {
            count as usize == all.len() - dead
        })
        .await;
    worker
        .wait_metric("worker_breaker_open", "", |open| open == 0.0)
        .await;
}

#[tokio::test]
async fn a_server_that_says_it_is_not_ready_is_not_tried_and_lag_grows_meanwhile() {
    let setting = Setting::new(Kafka::shared().await, "not-ready", 1).await;
    let healthy = Arc::new(AtomicBool::new(false));
    let state = healthy.clone();
    let server = StubServer::start(move |_| {
        let healthy = state.load(Ordering::Relaxed);
        async move {
            match healthy {
                true => Reply::text("done"),
                false => Reply::status(503),
            }
        }
    })
    .await;
    server.set_readiness(503);
    let (first, later) = (ids("first", 20), ids("later", 30));
    setting
        .submit_all(first.iter().map(|id| tool_job(id, "x")))
        .await;
    let mut worker = setting
        .worker(&server)
        .var("WORKER_CONCURRENCY", 4)
        .var("WORKER_MAX_ATTEMPTS", 2)
        .start()
        .await;
    let reason = worker.wait_not_ready("server", "/ready answers 503").await;
    assert!(reason.contains("server-unavailable"), "{reason}");
    worker
        .wait_metric("worker_intake_held", "reason=\"server\"", |held| {
            held == 1.0
        })
        .await;
    worker
        .wait_metric("worker_partitions_paused", "", |paused| paused == 1.0)
        .await;
    let calls = server.calls().len();
    setting
        .submit_all(later.iter().map(|id| tool_job(id, "x")))
        .await;
    worker
        .wait_metric("worker_partition_lag", "", |lag| lag == 50.0)
        .await;
    assert_eq!(
        server.calls().len(),
        calls,
        "a server that is not ready is left alone"
    );
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);

    healthy.store(true, Ordering::Relaxed);
    server.set_readiness(200);
    setting.wait_all_committed().await;
    worker.wait_ready().await;
    assert_eq!(answered(&server).len() - calls, first.len() + later.len());
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn half_of_the_calls_failing_counts_as_an_outage() {
    let setting = Setting::new(Kafka::shared().await, "half", 1).await;
    let failing = Arc::new(AtomicBool::new(true));
    let state = failing.clone();
    let server = StubServer::start(move |call| {
        let fails = state.load(Ordering::Relaxed) && call.number % 2 == 0;
        async move {
            match fails {
                true => Reply::status(500),
                false => Reply::text("done"),
            }
        }
    })
    .await;
    let all = ids("job", 400);
    setting
        .submit_all(all.iter().map(|id| tool_job(id, "x").key(id)))
        .await;
    let worker = setting
        .worker(&server)
        .var("WORKER_CONCURRENCY", 1)
        .start()
        .await;
    worker.wait_not_ready("server", "server-error").await;
    failing.store(false, Ordering::Relaxed);
    setting.wait_all_committed().await;
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn few_jobs_are_not_dead_lettered_for_a_server_that_is_not_ready() {
    let setting = Setting::new(Kafka::shared().await, "few", 1).await;
    let server = StubServer::start(async |call| match call.attempt {
        1..=2 => Reply::status(500),
        _ => Reply::text("done"),
    })
    .await;
    server.set_readiness(503);
    setting.submit(tool_job("only", "x")).await;
    let mut worker = setting
        .worker(&server)
        .var("WORKER_MAX_ATTEMPTS", 2)
        .start()
        .await;
    worker.wait_not_ready("server", "/ready answers 503").await;
    server.set_readiness(200);
    setting.wait_all_committed().await;
    worker.wait_ready().await;
    assert_eq!(answered(&server).len(), 3);
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn jobs_that_are_their_own_trouble_do_not_keep_the_server_from_the_others() {
    let setting = Setting::new(Kafka::shared().await, "own-troubles", 1).await;
    let server = with_a_bad_tool(500).await;
    server.set_readiness(200);
    let (bad, good) = (ids("bad", 12), ids("good", 20));
    setting
        .submit_all(bad.iter().map(|id| tool_job(id, "bad")))
        .await;
    setting
        .submit_all(good.iter().map(|id| tool_job(id, "x")))
        .await;
    let worker = setting
        .worker(&server)
        .var("WORKER_CONCURRENCY", 1)
        .var("WORKER_MAX_ATTEMPTS", 3)
        .start()
        .await;
    worker.wait_not_ready("server", "server-error").await;
    eventually(SOON, async || match answered_ok(&server, &good) {
        true => Ok(()),
        false => Err("some are missing"),
    })
    .await;
    assert!(repeated(&server).iter().all(|job| job.starts_with("bad")));
}

#[tokio::test]
async fn calls_that_fail_are_an_outage_whatever_the_server_says_of_itself() {
    let setting = Setting::new(Kafka::shared().await, "liar", 1).await;
    let server = StubServer::start(async |_| Reply::status(503)).await;
    server.set_readiness(200);
    setting
        .submit_all(ids("job", 30).iter().map(|id| tool_job(id, "x")))
        .await;
    let worker = setting
        .worker(&server)
        .var("WORKER_MAX_ATTEMPTS", 3)
        .start()
        .await;
    worker.wait_not_ready("server", "server-unavailable").await;
    // Several trials, each of another job.
    let calls = server.calls().len();
    server.wait_calls(calls + 4, SOON).await;
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn the_first_job_of_a_key_is_not_dead_lettered_for_a_refusal_that_all_get() {
    let setting = Setting::new(Kafka::shared().await, "one-key-401", 1).await;
    let server = StubServer::start(async |_| Reply::status(401)).await;
    setting
        .submit_all(ids("job", 40).iter().map(|id| tool_job(id, "x").key("k")))
        .await;
    let worker = setting.worker(&server).start().await;
    worker.wait_not_ready("server", "unauthorized").await;
    let calls = server.calls().len();
    server.wait_calls(calls + 2, SOON).await;
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

/// The one job fails with `status` as every request does; then the server is repaired.
async fn a_lone_job_is_spared(status: u16) {
    let setting = Setting::new(Kafka::shared().await, "lone", 1).await;
    let repaired = Arc::new(AtomicBool::new(false));
    let state = repaired.clone();
    let server = StubServer::start(move |_| {
        let repaired = state.load(Ordering::Relaxed);
        async move {
            match repaired {
                true => Reply::text("done"),
                false => Reply::status(status),
            }
        }
    })
    .await;
    server.set_listing(status);
    setting.submit(tool_job("lone", "x")).await;
    let mut worker = setting
        .worker(&server)
        .var("WORKER_MAX_ATTEMPTS", 2)
        .start()
        .await;
    worker.wait_not_ready("server", &status.to_string()).await;
    // Trials spend no attempt, however many there are.
    let calls = server.calls().len();
    server.wait_calls(calls + 2, SOON).await;
    repaired.store(true, Ordering::Relaxed);
    server.set_listing(200);
    setting.wait_all_committed().await;
    worker.wait_ready().await;
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn a_lone_job_is_not_dead_lettered_while_every_request_is_refused() {
    a_lone_job_is_spared(401).await;
}

#[tokio::test]
async fn a_lone_job_is_not_exhausted_by_a_server_that_answers_no_request_and_has_no_ready_route() {
    a_lone_job_is_spared(503).await;
}

#[tokio::test]
async fn a_refusal_that_has_passed_by_the_second_call_costs_nothing() {
    let setting = Setting::new(Kafka::shared().await, "passing-401", 1).await;
    let server = StubServer::start(async |call| match call.attempt {
        1 => Reply::status(401),
        _ => Reply::text("done"),
    })
    .await;
    setting.submit(tool_job("lone", "x")).await;
    let _worker = setting.worker(&server).start().await;
    setting.wait_all_committed().await;
    assert_eq!(answered(&server).len(), 2);
    assert_eq!(setting.kafka.end_offsets(&setting.dead).await, [0]);
}

#[tokio::test]
async fn a_job_that_fails_while_others_do_not_ends_though_the_server_refuses_to_list_its_tools() {
    let setting = Setting::new(Kafka::shared().await, "no-listing", 1).await;
    let server = with_a_bad_tool(403).await;
    server.set_listing(403);
    setting.submit(tool_job("bad", "bad")).await;
    let worker = setting.worker(&server).start().await;
    worker.wait_not_ready("server", "403").await;
    setting.submit(tool_job("good", "x")).await;
    let letters = setting.dead_letters(1).await;
    let code = letters[0].header("mcp.error.code");
    assert_eq!(code.as_deref(), Some("forbidden"));
    setting.wait_all_committed().await;
}

#[tokio::test]
async fn a_refused_job_with_another_behind_it_does_not_keep_the_server_from_other_keys() {
    let setting = Setting::new(Kafka::shared().await, "own-refusal", 1).await;
    let server = with_a_bad_tool(403).await;
    setting.submit(tool_job("bad", "bad").key("k")).await;
    setting.submit(tool_job("behind", "x").key("k")).await;
    let worker = setting.worker(&server).start().await;
    worker.wait_not_ready("server", "403").await;
    setting.submit(tool_job("other", "x")).await;
    let letters = setting.dead_letters(1).await;
    let code = letters[0].header("mcp.error.code");
    assert_eq!(code.as_deref(), Some("forbidden"));
    setting.wait_all_committed().await;
}

/// A server that answers the tool `bad` with `status`, and any other one well.
async fn with_a_bad_tool(status: u16) -> StubServer {
    StubServer::start(move |call| async move {
        match &*call.tool {
            "bad" => Reply::status(status),
            _ => Reply::text("done"),
        }
    })
    .await
}

fn answered_ok(server: &StubServer, jobs: &[String]) -> bool {
    let answered = answered(server);
    jobs.iter().all(|job| answered.contains(job))
}

#[tokio::test]
async fn a_lone_job_is_held_while_the_server_says_that_it_is_not_ready() {
    let setting = Setting::new(Kafka::shared().await, "lone", 1).await;
    let healthy = Arc::new(AtomicBool::new(false));
    let state = healthy.clone();
    // Then it fails twice for a reason of its own: what failed before must not count.
    let own = AtomicUsize::new(2);
    let server = StubServer::start(move |_| {
        let is_down = !state.load(Ordering::Relaxed);
        let less = |left: usize| left.checked_sub(1);
        let reply = match is_down {
            true => Reply::status(503),
            false
                if own
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
                    .is_ok() =>
            {
                Reply::status(500)
            }
            false => Reply::text("done"),
        };
        async move { reply }
    })
    .await;
    server.set_readiness(503);
    setting.submit(tool_job("lone", "x")).await;
    let mut worker = setting
        .worker(&server)
        .var("WORKER_MAX_ATTEMPTS", 3)
        .start()
        .await;
    let reason = worker.wait_not_ready("server", "/ready answers 503").await;
    assert!(reason.contains("server-unavailable"), "{reason}");
    let calls = server.calls().len();
    assert!(calls < 3, "{calls} calls");
    healthy.store(true, Ordering::Relaxed);
    server.set_readiness(200);
    setting.wait_all_committed().await;
    worker.wait_ready().await;
    assert!(setting.kafka.read_all(&setting.dead).await.is_empty());
    worker
        .wait_metric("worker_jobs_total", "status=\"succeeded\"", |jobs| {
            jobs == 1.0
        })
        .await;
}
