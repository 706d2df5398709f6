//! Tasks that one replica runs and another one is asked about.

use mcp_testkit::{Redis, eventually};
use serde_json::{Value, json};

use crate::keys::{Keys, new_key};
use crate::replica::{Replica, call};
use crate::server::{PATIENCE, sentence};

/// Begins a task.
pub(crate) async fn begin(replica: &Replica, tool: &str, arguments: Value) -> String {
    let params = json!({"name": tool, "arguments": arguments});
    let created = replica.modern("tools/call", params).await.body["result"].take();
    assert_eq!(created["resultType"], "task", "{created}");
    created["taskId"].as_str().unwrap().to_owned()
}

/// Waits until a task has that status.
pub(crate) async fn until(replica: &Replica, task: &str, status: &str) -> Value {
    eventually(PATIENCE, async || {
        let seen = replica
            .modern("tasks/get", json!({"taskId": task}))
            .await
            .body;
        let is_there = seen["result"]["status"] == status;
        if is_there {
            Ok(seen["result"].clone())
        } else {
            Err(format!("{seen}"))
        }
    })
    .await
}

#[tokio::test]
async fn another_replica_shows_answers_and_cancels_a_task() {
    let redis = Redis::start().await;
    let variables = [("REDIS_URL", &*redis.url())];
    let (runs, other) = (
        Replica::start(&variables).await,
        Replica::start(&variables).await,
    );

    let task = begin(&runs, "confirm_delete", json!({"filename": "a"})).await;
    let asked = until(&other, &task, "input_required").await;
    assert!(asked["inputRequests"]["confirm"].is_object());
    let answer = json!({"action": "accept", "content": {"confirm": true}});
    let params = json!({"taskId": task, "inputResponses": {"confirm": answer}});
    let updated = other.modern("tasks/update", params).await;
    assert_eq!(
        updated.body["result"]["resultType"], "complete",
        "{updated:?}"
    );
    let done = until(&other, &task, "completed").await;
    assert_eq!(done["result"]["content"][0]["text"], "deleted a");

    let task = begin(&runs, "slow_compute", json!({"seconds": 3600})).await;
    let cancelled = other.modern("tasks/cancel", json!({"taskId": task})).await;
    assert_eq!(
        cancelled.body["result"]["resultType"], "complete",
        "{cancelled:?}"
    );
    until(&runs, &task, "cancelled").await;
}

#[tokio::test]
async fn the_tasks_of_a_replica_that_died_have_failed() {
    let redis = Redis::start().await;
    let variables = [("REDIS_URL", &*redis.url())];
    let other = Replica::start(&variables).await;
    let dies = Replica::start(&variables).await;
    let task = begin(&dies, "slow_compute", json!({"seconds": 3600})).await;
    drop(dies);
    let failed = until(&other, &task, "failed").await;
    assert!(
        failed["error"]["message"]
            .as_str()
            .unwrap()
            .contains("gone"),
        "{failed}"
    );
}

#[tokio::test]
async fn a_stopping_replica_finishes_its_tasks_and_ends_those_that_outlast_the_drain() {
    let redis = Redis::start().await;
    let url = redis.url();
    let other = Replica::start(&[("REDIS_URL", &*url)]).await;
    for (drain, seconds, status) in [("60000", 2, "completed"), ("100", 3600, "failed")] {
        let variables = [("REDIS_URL", &*url), ("MCP_DRAIN_MS", drain)];
        let stops = Replica::start(&variables).await;
        let task = begin(&stops, "slow_compute", json!({"seconds": seconds})).await;
        stops.stop().await;
        let seen = other.modern("tasks/get", json!({"taskId": task})).await;
        assert_eq!(seen.body["result"]["status"], status, "{seen:?}");
        let error = &seen.body["result"]["error"]["message"];
        let is_told = error.as_str().is_none_or(|error| error.contains("stopped"));
        assert!(is_told, "{seen:?}");
    }
}

#[tokio::test]
async fn an_unknown_task_is_an_error_and_an_ended_one_is_not() {
    let replica = Replica::start(&[]).await;
    let unknown = replica.modern("tasks/get", json!({"taskId": "a.b"})).await;
    assert_eq!(unknown.body["error"]["code"], -32602);
    let task = begin(&replica, "slow_compute", json!({"seconds": 0})).await;
    until(&replica, &task, "completed").await;
    for method in ["tasks/cancel", "tasks/update"] {
        let params = json!({"taskId": task, "inputResponses": {}});
        let answer = replica.modern(method, params).await;
        assert_eq!(
            answer.body["result"]["resultType"], "complete",
            "{method}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_task_is_its_keys_and_to_another_key_there_is_none() {
    let (own, first) = new_key(&["--scope", "tools:call", "--name", "own"]).await;
    let (strange, second) = new_key(&["--scope", "tools:call", "--name", "strange"]).await;
    let keys = Keys::new(&[&first, &second]);
    let (file, redis) = (keys.path(), Redis::start().await);
    let variables = [
        ("MCP_API_KEYS_FILE", file.to_str().unwrap()),
        ("REDIS_URL", &*redis.url()),
    ];
    let (own, strange) = (format!("Bearer {own}"), format!("Bearer {strange}"));
    let alone = Replica::start(&variables[..1]).await;
    let (runs, other) = (
        Replica::start(&variables).await,
        Replica::start(&variables).await,
    );
    for (begun_at, asked) in [(&alone, &alone), (&runs, &runs), (&runs, &other)] {
        let params = json!({"name": "slow_compute", "arguments": {"seconds": 3600}});
        let begun = begun_at.modern_as(Some(&own), "tools/call", params).await;
        let task = &begun.body["result"]["taskId"];
        assert!(task.is_string(), "{begun:?}");
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let answers = async |credentials: &str, task: &Value| {
                let params = json!({"taskId": task, "inputResponses": {}});
                let answer = asked.modern_as(Some(credentials), method, params).await;
                (answer.status, answer.body)
            };
            let unknown = answers(&strange, &json!("a.b")).await;
            assert_eq!(unknown.1["error"]["code"], -32602, "{unknown:?}");
            assert_eq!(answers(&strange, task).await, unknown, "{method}");
            let (_, mine) = answers(&own, task).await;
            assert_eq!(mine["result"]["resultType"], "complete", "{method}: {mine}");
            if method == "tasks/get" {
                assert_eq!(mine["result"]["status"], "working", "{mine}");
            }
        }
    }
}

/// A call with that idempotency key.
async fn keyed(replica: &Replica, key: &str, tool: &str, arguments: Value) -> Value {
    let meta = json!({"io.mcp-hybrid/idempotency-key": key});
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    replica.modern("tools/call", params).await.body["result"].take()
}

#[tokio::test]
async fn a_call_that_is_repeated_gets_its_task_back_at_any_replica_and_a_new_one_if_that_failed() {
    let redis = Redis::start().await;
    let variables = [("REDIS_URL", &*redis.url())];
    let (one, two) = (
        Replica::start(&variables).await,
        Replica::start(&variables).await,
    );
    let delete = async |replica| {
        let arguments = json!({"filename": "a"});
        keyed(replica, "delete", "confirm_delete", arguments).await
    };
    let created = delete(&one).await;
    assert_eq!(created["resultType"], "task", "{created}");
    let task = created["taskId"].as_str().unwrap();
    for replica in [&one, &two] {
        assert_eq!(delete(replica).await, created);
    }
    until(&two, task, "input_required").await;
    let yes = json!({"action": "accept", "content": {"confirm": true}});
    let params = json!({"taskId": task, "inputResponses": {"confirm": yes}});
    two.modern("tasks/update", params).await;
    until(&one, task, "completed").await;
    for replica in [&one, &two] {
        assert_eq!(
            delete(replica).await,
            created,
            "also when it has its result"
        );
    }
    // A client that knows no tasks learns why it gets no result.
    let mut plain = call("confirm_delete", json!({"filename": "a"}));
    plain["params"]["_meta"] = json!({"io.mcp-hybrid/idempotency-key": "delete"});
    let told = two.post("/mcp", &plain).await.body["result"].take();
    assert!(sentence(&told).contains("task"), "{told}");

    let failing = async |replica| keyed(replica, "fail", "failing_job", json!({})).await;
    let failed = failing(&one).await["taskId"].take();
    until(&two, failed.as_str().unwrap(), "completed").await;
    assert_ne!(failing(&one).await["taskId"], failed);

    let slow = async |replica| {
        let arguments = json!({"seconds": 3600});
        keyed(replica, "slow", "slow_compute", arguments).await["taskId"].take()
    };
    let cancelled = slow(&one).await;
    assert_eq!(slow(&two).await, cancelled);
    two.modern("tasks/cancel", json!({"taskId": cancelled}))
        .await;
    until(&one, cancelled.as_str().unwrap(), "cancelled").await;
    let again = slow(&one).await;
    assert_ne!(again, cancelled);
    assert_eq!(slow(&two).await, again);
}
