//! Tasks that one replica runs and another one is asked about.

use mcp_testkit::{Redis, eventually};
use serde_json::{Value, json};

use crate::replica::Replica;
use crate::server::PATIENCE;

async fn begin(replica: &Replica, tool: &str, arguments: Value) -> String {
    let params = json!({"name": tool, "arguments": arguments});
    let created = replica.modern("tools/call", params).await.body["result"].take();
    assert_eq!(created["resultType"], "task", "{created}");
    created["taskId"].as_str().unwrap().to_owned()
}

async fn until(replica: &Replica, task: &str, status: &str) -> Value {
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
