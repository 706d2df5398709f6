//! HTTP+SSE of 2024-11-05, at one replica and at two.

use mcp_testkit::{Redis, eventually};
use serde_json::json;

use crate::replica::{Events, Replica, SseClient, call};
use crate::server::PATIENCE;

#[tokio::test]
async fn a_client_of_2024_11_05_posts_and_reads_its_answers_from_its_stream() {
    let replica = Replica::start(&[]).await;
    let mut client = SseClient::open(&replica).await;
    let initialized = client.initialize(&replica).await;
    assert_eq!(initialized["protocolVersion"], "2024-11-05");
    let called = client
        .post(&replica, &call("test_simple_text", json!({})))
        .await;
    assert_eq!((called.status, called.body), (202, json!("")));
    let answer = client.events.must().await;
    assert_eq!(answer["id"], 1);
    assert!(
        answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("simple text")
    );
    let malformed = client.post(&replica, &json!({"id": 1})).await;
    assert_eq!(
        (malformed.status, &malformed.body["error"]["code"]),
        (400, &json!(-32600))
    );
}

#[tokio::test]
async fn a_post_reaches_its_stream_from_any_replica() {
    let redis = Redis::start().await;
    let variables = [("REDIS_URL", &*redis.url())];
    let (holder, other) = (
        Replica::start(&variables).await,
        Replica::start(&variables).await,
    );
    let mut client = SseClient::open(&holder).await;
    client.initialize(&other).await;
    for id in 1..=20 {
        let mut call = call("test_simple_text", json!({}));
        call["id"] = id.into();
        let at = if id % 2 == 0 { &holder } else { &other };
        assert_eq!(client.post(at, &call).await.status, 202);
        assert_eq!(client.events.must().await["id"], id);
    }
}

#[tokio::test]
async fn a_client_is_asked_on_its_stream_and_answers_at_any_replica() {
    let redis = Redis::start().await;
    let variables = [("REDIS_URL", &*redis.url())];
    let (holder, other) = (
        Replica::start(&variables).await,
        Replica::start(&variables).await,
    );
    let mut client = SseClient::open(&holder).await;
    client.initialize(&holder).await;
    client
        .post(&other, &call("test_sampling", json!({"prompt": "Hi"})))
        .await;
    let question = client.events.must().await;
    assert_eq!(question["method"], "sampling/createMessage");
    let content = json!({"type": "text", "text": "hello"});
    let result = json!({"role": "assistant", "content": content, "model": "m"});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
    assert_eq!(client.post(&other, &answer).await.status, 202);
    let answer = client.events.must().await;
    assert_eq!(
        answer["result"]["content"][0]["text"],
        "LLM response: hello"
    );
}

#[tokio::test]
async fn without_redis_a_foreign_session_is_not_found_and_the_answer_says_why() {
    let (holder, other) = (Replica::start(&[]).await, Replica::start(&[]).await);
    let client = SseClient::open(&holder).await;
    let refused = client
        .post(&other, &call("test_simple_text", json!({})))
        .await;
    assert_eq!(refused.status, 404);
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("REDIS_URL"), "{message}");
}

#[tokio::test]
async fn a_session_ends_with_its_stream_at_every_replica() {
    let redis = Redis::start().await;
    let variables = [("REDIS_URL", &*redis.url())];
    let (holder, other) = (
        Replica::start(&variables).await,
        Replica::start(&variables).await,
    );
    let SseClient { events, path } = SseClient::open(&holder).await;
    drop(events);
    for replica in [&holder, &other] {
        eventually(PATIENCE, async || {
            match replica
                .post(&path, &call("test_simple_text", json!({})))
                .await
                .status
            {
                404 => Ok(()),
                status => Err(format!("it answers {status}")),
            }
        })
        .await;
    }
    let client = SseClient::open(&holder).await;
    drop(holder);
    eventually(PATIENCE, async || {
        match client
            .post(&other, &call("test_simple_text", json!({})))
            .await
            .status
        {
            404 => Ok(()),
            status => Err(format!("the dead replica's session answers {status}")),
        }
    })
    .await;
}

#[tokio::test]
async fn while_redis_is_away_others_are_asked_to_try_again_and_then_all_is_well() {
    let mut redis = Redis::start().await;
    let variables = [("REDIS_URL", &*redis.url())];
    let (holder, other) = (
        Replica::start(&variables).await,
        Replica::start(&variables).await,
    );
    let mut client = SseClient::open(&holder).await;
    client.initialize(&other).await;
    redis.kill();
    let call = call("test_simple_text", json!({}));
    let refused = client.post(&other, &call).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"));
    // The replica with the stream needs no relay.
    assert_eq!(client.post(&holder, &call).await.status, 202);
    client.events.must().await;
    redis.restart().await;
    eventually(PATIENCE, async || {
        match client.post(&other, &call).await.status {
            202 => Ok(()),
            status => Err(format!("still {status}")),
        }
    })
    .await;
    client.events.must().await;
}

#[tokio::test]
async fn a_call_that_the_client_cancels_gets_no_answer_and_the_next_one_does() {
    let replica = Replica::start(&[]).await;
    let mut client = SseClient::open(&replica).await;
    client.initialize(&replica).await;
    client
        .post(&replica, &call("slow_compute", json!({"seconds": 3600})))
        .await;
    let params = json!({"requestId": 1});
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params});
    assert_eq!(client.post(&replica, &cancel).await.status, 202);
    client
        .post(&replica, &call("greet", json!({"name": "Ann"})))
        .await;
    let answer = client.events.must().await;
    assert_eq!(answer["result"]["content"][0]["text"], "Hello, Ann!");
}

#[tokio::test]
async fn a_stopping_replica_ends_the_streams_that_wait_and_finishes_calls() {
    let replica = Replica::start(&[]).await;
    let mut idle = SseClient::open(&replica).await;
    let mut busy = SseClient::open(&replica).await;
    busy.initialize(&replica).await;
    busy.post(
        &replica,
        &call("test_elicitation", json!({"message": "Go?"})),
    )
    .await;
    let question = busy.events.must().await;
    // A connection from before the stop.
    let keep = reqwest::Client::new();
    let answer_url = replica.url(&busy.path);
    let result = json!({"action": "decline"});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result}).to_string();
    let post = keep
        .post(answer_url)
        .header("content-type", "application/json")
        .body(answer);
    let accepted = post.send().await.unwrap();
    assert_eq!(accepted.status(), 202);
    let stopping = tokio::spawn(replica.stop());
    assert!(idle.events.next().await.is_none());
    let answer = busy.events.must().await;
    assert!(
        answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("decline")
    );
    assert!(busy.events.next().await.is_none());
    stopping.await.unwrap();
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_until_one_ends() {
    let replica = Replica::start(&[("MCP_MAX_STREAMS", "1")]).await;
    let client = SseClient::open(&replica).await;
    let refused = reqwest::get(replica.url("/sse")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    // A call that needs no stream is still answered.
    let called = replica
        .post("/mcp", &call("test_simple_text", json!({})))
        .await;
    assert_eq!(called.status, 200);
    drop(client);
    eventually(PATIENCE, async || {
        match reqwest::get(replica.url("/sse"))
            .await
            .unwrap()
            .status()
            .as_u16()
        {
            200 => Ok(()),
            status => Err(format!("still {status}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_says_what_it_is() {
    let replica = Replica::start(&[]).await;
    let mut events = Events::of(reqwest::Client::new().get(replica.url("/sse"))).await;
    let first = events.next().await.unwrap();
    assert!(first.data.starts_with("/message?sessionId="), "{first:?}");
}
