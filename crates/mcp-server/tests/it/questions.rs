//! What a server asks its caller, in both eras, at two replicas.

use mcp_testkit::{Redis, eventually};
use serde_json::{Value, json};

use crate::replica::{Replica, SseClient, call};
use crate::server::{PATIENCE, error_of, sentence};

async fn pair(redis: &Redis) -> (Replica, Replica) {
    let variables = [("REDIS_URL", &*redis.url())];
    (
        Replica::start(&variables).await,
        Replica::start(&variables).await,
    )
}

fn accepted(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

#[tokio::test]
async fn a_question_on_a_calls_stream_is_answered_at_any_replica_without_a_session() {
    let redis = Redis::start().await;
    let (one, two) = pair(&redis).await;
    for answered_at in [&one, &two] {
        let mut events = one
            .stream("test_elicitation", json!({"message": "Who?"}))
            .await;
        let question = events.must().await;
        assert_eq!(question["method"], "elicitation/create");
        assert_eq!(question["params"]["message"], "Who?");
        let result = accepted(json!({"username": "ann", "email": "a@b.c"}));
        let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
        assert_eq!(answered_at.post("/mcp", &answer).await.status, 202);
        let done = events.must().await;
        assert!(
            done["result"]["content"][0]["text"]
                .as_str()
                .unwrap()
                .contains("ann")
        );
        assert!(events.next().await.is_none());
        let again = answered_at.post("/mcp", &answer).await;
        assert_eq!(
            (again.status, &again.body["error"]["code"]),
            (404, &json!(-32600))
        );
    }
}

#[tokio::test]
async fn a_caller_that_refuses_is_an_error_of_the_tool() {
    let replica = Replica::start(&[]).await;
    let mut events = replica
        .stream("test_sampling", json!({"prompt": "Hi"}))
        .await;
    let question = events.must().await;
    let error = json!({"code": -32601, "message": "no sampling here"});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "error": error});
    assert_eq!(replica.post("/mcp", &answer).await.status, 202);
    let done = events.must().await;
    assert_eq!(done["result"]["isError"], true);
    assert!(done.to_string().contains("no sampling here"));
}

#[tokio::test]
async fn a_caller_without_event_streams_is_not_asked() {
    let replica = Replica::start(&[]).await;
    let call = crate::replica::call("test_sampling", json!({"prompt": "Hi"}));
    let plain = reqwest::Client::new()
        .post(replica.url("/message"))
        .header("content-type", "application/json")
        .body(call.to_string());
    let answer = crate::server::answer(plain).await;
    assert_eq!(answer.body["result"]["isError"], true, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_caller_that_never_answers_gets_an_error_that_says_so() {
    let timeout = [("MCP_TOOL_TIMEOUT_MS", "60000,test_elicitation=300")];
    let replica = Replica::start(&timeout).await;
    // Without a session nobody knows what a client of 2025 can do, so it is asked.
    let asks = replica.stream("test_elicitation", json!({"message": "Go?"}));
    let mut events = asks.await;
    assert_eq!(events.must().await["method"], "elicitation/create");
    let done = events.must().await["result"].take();
    assert_eq!(error_of(&done)["code"], "input-required");
    assert!(sentence(&done).contains("did not answer"), "{done}");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn a_client_that_has_declared_nothing_on_its_lasting_stream_is_not_asked() {
    let replica = Replica::start(&[]).await;
    let mut client = SseClient::open(&replica).await;
    let asks = call("test_sampling", json!({"prompt": "Hi"}));
    assert_eq!(client.post(&replica, &asks).await.status, 202);
    let done = client.events.must().await["result"].take();
    assert_eq!(error_of(&done)["code"], "input-required");
    assert!(
        sentence(&done).contains("does not offer sampling"),
        "{done}"
    );
}

#[tokio::test]
async fn the_same_tool_ends_with_input_required_and_goes_on_at_any_replica() {
    let redis = Redis::start().await;
    let (one, two) = pair(&redis).await;
    let params = json!({"name": "test_input_required_result_multi_round", "arguments": {}});
    let first = one.modern("tools/call", params.clone()).await.body["result"].take();
    assert_eq!(first["resultType"], "input_required");
    let mut params = params;
    params["requestState"] = first["requestState"].clone();
    params["inputResponses"] = json!({"step1": accepted(json!({"name": "Ann"}))});
    let second = two.modern("tools/call", params.clone()).await.body["result"].take();
    assert!(second["inputRequests"]["step2"].is_object(), "{second}");
    params["requestState"] = second["requestState"].clone();
    params["inputResponses"] = json!({"step2": accepted(json!({"color": "red"}))});
    let last = one.modern("tools/call", params).await.body["result"].take();
    assert_eq!(last["content"][0]["text"], "\"Ann\" likes \"red\"");
}

#[tokio::test]
async fn a_state_is_good_for_its_caller_and_its_request_alone() {
    let replica = Replica::start(&[]).await;
    let params = json!({"name": "test_input_required_result_request_state", "arguments": {"a": 1}});
    let first = replica
        .modern_as(Some("Bearer ann"), "tools/call", params.clone())
        .await;
    let state = first.body["result"]["requestState"].clone();
    let mut params = params;
    params["requestState"] = state;
    params["inputResponses"] = json!({"confirm": accepted(json!({"ok": true}))});
    let stranger = replica
        .modern_as(Some("Bearer eve"), "tools/call", params.clone())
        .await;
    assert_eq!(stranger.body["error"]["code"], -32602, "{stranger:?}");
    let mut other = params.clone();
    other["arguments"]["a"] = 2.into();
    let other = replica
        .modern_as(Some("Bearer ann"), "tools/call", other)
        .await;
    assert_eq!(other.body["error"]["code"], -32602, "{other:?}");
    let own = replica
        .modern_as(Some("Bearer ann"), "tools/call", params)
        .await;
    assert_eq!(own.body["result"]["content"][0]["text"], "state-ok");
}

#[tokio::test]
async fn replicas_with_a_key_in_common_need_no_redis_for_that() {
    let key = [("MCP_STATE_KEY", "0123456789abcdef0123456789abcdef")];
    let (one, two) = (Replica::start(&key).await, Replica::start(&key).await);
    let mut params = json!({"name": "test_input_required_result_elicitation", "arguments": {}});
    let first = one.modern("tools/call", params.clone()).await;
    params["requestState"] = first.body["result"]["requestState"].clone();
    params["inputResponses"] = json!({"user_name": accepted(json!({"name": "Ann"}))});
    let second = two.modern("tools/call", params).await;
    assert_eq!(second.body["result"]["content"][0]["text"], "Hello, Ann!");
}

#[tokio::test]
async fn replicas_believe_each_other_again_after_redis_has_lost_their_key() {
    const TOOL: &str = "test_input_required_result_elicitation";
    let mut redis = Redis::start().await;
    let variables = [("REDIS_URL", &*redis.url())];
    let begin = async |replica: &Replica| {
        let asked = replica.modern("tools/call", json!({"name": TOOL})).await;
        let state = asked.body["result"]["requestState"].clone();
        assert!(state.is_string(), "{asked:?}");
        state
    };
    let goes_on = async |replica: &Replica, state: &Value| {
        eventually(PATIENCE, async || {
            let ann = json!({"action": "accept", "content": {"name": "Ann"}});
            let answers = json!({"user_name": ann});
            let params = json!({"name": TOOL, "requestState": state, "inputResponses": answers});
            let answer = replica.modern("tools/call", params).await;
            let text = &answer.body["result"]["content"][0]["text"];
            let is_done = text == "Hello, Ann!";
            is_done.then_some(()).ok_or(format!("{answer:?}"))
        })
        .await;
    };
    let old = Replica::start(&variables).await;
    let before = begin(&old).await;
    redis.restart().await;
    let new = Replica::start(&variables).await;
    let after = begin(&new).await;
    goes_on(&old, &after).await;
    goes_on(&new, &after).await;
    // And what was signed before is still good where it was.
    goes_on(&old, &before).await;
    let again = begin(&old).await;
    goes_on(&new, &again).await;
}
