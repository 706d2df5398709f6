//! A repeated key, on one replica and on two that share a real Redis.

use std::time::Duration;

use mcp_testkit::{Redis, eventually, fetched};
use serde_json::{Value, json};

use crate::counter::{Counter, CountingServer, code_of, runs_of};
use crate::server::{PATIENCE, Server, answer};

/// Two replicas of the tool, on that Redis.
async fn pair(tool: &Counter, redis: &Redis) -> (CountingServer, CountingServer) {
    let url = redis.url();
    let variables = [
        ("REDIS_URL", url.as_str()),
        ("MCP_IDEMPOTENCY_LEASE_MS", "2000"),
    ];
    (
        CountingServer::start(tool, &variables).await,
        CountingServer::start(tool, &variables).await,
    )
}

#[tokio::test]
async fn a_repeated_key_is_answered_with_the_stored_result_wherever_it_stands() {
    let tool = Counter::open();
    let replica = CountingServer::start(&tool, &[]).await;
    let first = replica.call(Some("t/j%C3%B6b/s"), json!({})).await;
    assert_eq!(runs_of(&first), 1);
    let again = replica.call(Some("t/j%C3%B6b/s"), json!({})).await;
    assert_eq!(again.body, first.body);
    let params = json!({"name": "count", "_meta": {"io.mcp-hybrid/idempotency-key": "t/jöb/s"}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    for header in [None, Some("t/j%C3%B6b/s")] {
        let request = replica.request(header, json!({})).body(body.to_string());
        assert_eq!(answer(request).await.body, first.body);
    }
    let two = replica
        .request(Some("another"), json!({}))
        .body(body.to_string());
    assert_eq!(code_of(&answer(two).await), -32602);
    assert_eq!(tool.runs(), 1);
    assert_eq!(runs_of(&replica.call(None, json!({})).await), 2);
}

#[tokio::test]
async fn a_key_that_was_used_for_other_arguments_is_refused() {
    let tool = Counter::open();
    let replica = CountingServer::start(&tool, &[]).await;
    replica.count("k").await;
    let refused = replica.call(Some("k"), json!({"fail": "internal"})).await;
    assert_eq!(code_of(&refused), -32602);
    assert_eq!(tool.runs(), 1);
}

#[tokio::test]
async fn a_failed_call_runs_again() {
    let redis = Redis::start().await;
    let tool = Counter::open();
    let (one, two) = pair(&tool, &redis).await;
    for code in ["tool-unavailable", "tool-failed", "internal"] {
        let before = tool.runs();
        let fail = json!({"fail": code});
        one.call(Some(code), fail.clone()).await;
        one.call(Some(code), fail.clone()).await;
        two.call(Some(code), fail).await;
        assert_eq!(tool.runs() - before, 3, "{code}");
    }
}

#[tokio::test]
async fn a_key_that_ran_on_one_replica_is_answered_by_the_other() {
    let redis = Redis::with_password("hunter2").await;
    let tool = Counter::open();
    let (one, two) = pair(&tool, &redis).await;
    assert_eq!(one.count("jobs/j/s").await, 1);
    assert_eq!(two.count("jobs/j/s").await, 1);
    assert_eq!(two.count("jobs/k/s").await, 2);
    assert_eq!(one.count("jobs/k/s").await, 2);
    let refused = two
        .call(Some("jobs/j/s"), json!({"fail": "internal"}))
        .await;
    assert_eq!(code_of(&refused), -32602);
    assert_eq!(tool.runs(), 2);
    let keys = redis.keys().await;
    assert_eq!(keys.len(), 2);
    for key in keys {
        assert!(!key.contains("jobs"), "{key}");
        let left = redis.time_to_live(&key).await.as_secs();
        assert!((86_000..=86_400).contains(&left), "{left} s");
    }
}

#[tokio::test]
async fn a_result_of_another_replica_is_remembered_only_for_what_is_left_of_its_time() {
    let redis = Redis::start().await;
    let tool = Counter::open();
    let (one, two) = pair(&tool, &redis).await;
    assert_eq!(one.count("k").await, 1);
    let key = redis.keys().await.remove(0);
    redis.expire(&key, Duration::from_secs(5)).await;
    assert_eq!(two.count("k").await, 1);
    eventually(PATIENCE, async || match two.count("k").await {
        2 => Ok(()),
        _ => Err("it is still remembered"),
    })
    .await;
}

#[tokio::test]
async fn a_call_under_way_on_one_replica_is_waited_for_by_all() {
    let redis = Redis::start().await;
    let tool = Counter::closed();
    let (one, two) = pair(&tool, &redis).await;
    let first = one.calling("k");
    tool.until_begun(1).await;
    let others = [one.calling("k"), two.calling("k"), two.calling("k")];
    // Another key passes them all, on both.
    let passing = [one.calling("other"), two.calling("another")];
    tool.until_begun(3).await;
    assert!(others.iter().all(|call| !call.is_finished()));
    tool.open_for(100);
    assert_eq!(runs_of(&first.await.unwrap()), 1);
    for call in others {
        assert_eq!(runs_of(&call.await.unwrap()), 1);
    }
    for call in passing {
        call.await.unwrap();
    }
    assert_eq!(tool.runs(), 3);
}

#[tokio::test]
async fn a_call_that_lasts_longer_than_its_lease_keeps_it() {
    let redis = Redis::start().await;
    let tool = Counter::closed();
    let (one, two) = pair(&tool, &redis).await;
    let first = one.calling("k");
    tool.until_begun(1).await;
    let key = redis.keys().await.remove(0);
    // Seen with more left than before: it was renewed.
    let mut least = redis.time_to_live(&key).await;
    let second = two.calling("k");
    for _ in 0..4 {
        least = eventually(PATIENCE, async || {
            let left = redis.time_to_live(&key).await;
            let before = std::mem::replace(&mut least, left);
            if left > before {
                Ok(left)
            } else {
                Err("it was not renewed")
            }
        })
        .await;
    }
    tool.open_for(100);
    assert_eq!(runs_of(&first.await.unwrap()), 1);
    assert_eq!(runs_of(&second.await.unwrap()), 1);
    assert_eq!(tool.runs(), 1);
}

#[tokio::test]
async fn when_the_caller_goes_away_the_next_one_takes_the_turn() {
    let redis = Redis::start().await;
    let tool = Counter::closed();
    let (one, two) = pair(&tool, &redis).await;
    let first = one.calling("k");
    tool.until_begun(1).await;
    let second = two.calling("k");
    first.abort();
    tool.until_begun(2).await;
    tool.open_for(100);
    assert_eq!(runs_of(&second.await.unwrap()), 2);
    assert_eq!(one.count("k").await, 2);
}

#[tokio::test]
async fn while_redis_is_away_no_call_with_a_key_begins_and_others_go_on() {
    let mut redis = Redis::start().await;
    let tool = Counter::open();
    let (one, two) = pair(&tool, &redis).await;
    assert_eq!(one.count("known").await, 1);
    for frozen in [true, false] {
        if frozen {
            redis.freeze();
        } else {
            redis.kill();
        }
        let runs = tool.runs();
        assert_eq!(code_of(&two.call(Some("new"), json!({})).await), -32603);
        assert_eq!(code_of(&two.call(Some("known"), json!({})).await), -32603);
        assert_eq!(one.count("known").await, 1, "from memory");
        assert_eq!(tool.runs(), runs);
        let without = two.call(None, json!({})).await;
        assert_eq!(runs_of(&without), runs as u64 + 1);
        if frozen {
            redis.resume();
        } else {
            redis.restart().await;
        }
        let key = format!("after {frozen}");
        eventually(PATIENCE, async || {
            let answer = two.call(Some(&key), json!({})).await;
            let done = answer.body["result"].is_object();
            if done {
                Ok(())
            } else {
                Err(format!("{answer:?}"))
            }
        })
        .await;
        let runs = tool.runs();
        assert_eq!(one.count(&key).await, runs as u64);
    }
}

#[tokio::test]
async fn a_call_whose_lease_is_gone_is_ended_so_that_it_does_not_run_twice() {
    let mut redis = Redis::start().await;
    let tool = Counter::closed();
    let (one, two) = pair(&tool, &redis).await;
    let first = one.calling("k");
    tool.until_begun(1).await;
    redis.restart().await;
    assert_eq!(code_of(&first.await.unwrap()), -32603);
    tool.open_for(100);
    assert_eq!(two.count("k").await, 2);
    assert_eq!(one.count("k").await, 2);
}

/// Notes that it was started, and answers once it is told to.
const SLOW_SERVER: &str = "
import os, sys, time
open(sys.argv[1], 'a').write('started\\n')
while not os.path.exists(sys.argv[2]):
    time.sleep(0.05)
from mcp.server.mcpserver import MCPServer
MCPServer('slow').run('stdio')
";

#[tokio::test]
async fn a_call_of_a_replica_that_is_killed_runs_on_another_once_its_lease_has_ended() {
    let redis = Redis::start().await;
    let url = redis.url();
    let folder = tempfile::tempdir().unwrap();
    let (starts, go) = (folder.path().join("starts"), folder.path().join("go"));
    let python = fetched::python();
    let write = folder.path();
    let policy =
        format!("[[command]]\nname = \"python\"\npath = {python:?}\nwrite = [{write:?}]\n");
    let variables = [
        ("REDIS_URL", url.as_str()),
        ("MCP_IDEMPOTENCY_LEASE_MS", "1500"),
    ];
    let mut one = Server::with(&policy, &variables).await;
    let two = Server::with(&policy, &variables).await;
    let arguments =
        json!({"name": "x", "command": "python", "args": ["-c", SLOW_SERVER, &starts, &go]});
    let call = |server: &Server| {
        let request = reqwest::Client::new()
            .post(format!("{}/message", server.url))
            .header("content-type", "application/json")
            .header("idempotency-key", "jobs/j/x")
            .timeout(PATIENCE)
            .body(crate::server::call(arguments.clone()));
        tokio::spawn(request.send())
    };
    let until = async |count: usize| {
        eventually(PATIENCE, async || {
            let text = std::fs::read_to_string(&starts).unwrap_or_default();
            match text.lines().count() {
                seen if seen == count => Ok(()),
                seen => Err(format!("{seen} starts")),
            }
        })
        .await;
    };
    let first = call(&one);
    until(1).await;
    let second = call(&two);
    one.process.kill9();
    assert!(first.await.unwrap().is_err());
    until(2).await;
    std::fs::write(&go, "").unwrap();
    let body: Value =
        serde_json::from_str(&second.await.unwrap().unwrap().text().await.unwrap()).unwrap();
    assert_eq!(
        body["result"]["structuredContent"]["status"], "initialized",
        "{body}"
    );
    let again = call(&two).await.unwrap().unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), body);
    until(2).await;
}

#[tokio::test]
async fn the_password_of_redis_is_never_printed() {
    let redis = Redis::with_password("hunter2hunter2").await;
    let wrong = redis.url().replace("hunter2hunter2", "wrongwrongwrong");
    let variables = [("REDIS_URL", wrong.as_str()), ("RUST_LOG", "trace")];
    let mut server = Server::with("", &variables).await;
    let body = crate::server::call(json!({"name": "x", "command": "sh"}));
    let refused = server
        .post("/message", &[("idempotency-key", "k")], body)
        .await;
    assert_eq!(code_of(&refused), -32603);
    server
        .process
        .wait_for_line("Redis does not answer", PATIENCE)
        .await;
    assert!(!server.process.printed("wrongwrongwrong"));
}
