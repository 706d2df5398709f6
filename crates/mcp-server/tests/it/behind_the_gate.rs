//! Keys, limits and idempotency where a call is more than one request.

use mcp_testkit::{Redis, eventually};
use serde_json::{Value, json};

use crate::keys::{Keys, new_key};
use crate::replica::{Events, Replica, SseClient, call};
use crate::server::{Answer, PATIENCE, answer};

fn ping() -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "ping"})
}

async fn post_as(replica: &Replica, key: &str, path: &str, message: &Value) -> Answer {
    answer(replica.request(path, message).bearer_auth(key)).await
}

#[tokio::test]
async fn a_session_takes_what_is_posted_with_the_key_that_opened_it_and_nothing_else() {
    let (own, first) = new_key(&["--scope", "tools:call", "--name", "own"]).await;
    let (strange, second) = new_key(&["--scope", "tools:call", "--name", "strange"]).await;
    let keys = Keys::new(&[&first, &second]);
    let (file, redis) = (keys.path(), Redis::start().await);
    let variables = [
        ("MCP_API_KEYS_FILE", file.to_str().unwrap()),
        ("REDIS_URL", &*redis.url()),
    ];
    let holder = Replica::start(&variables).await;
    let other = Replica::start(&variables).await;
    let open = reqwest::Client::new()
        .get(holder.url("/sse"))
        .timeout(PATIENCE);
    let refused = answer(open.try_clone().unwrap()).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    let mut events = Events::of(open.bearer_auth(&own)).await;
    let path = events.next().await.unwrap().data;
    for replica in [&holder, &other] {
        let refused = post_as(replica, &strange, &path, &ping()).await;
        assert_eq!(refused.status, 404, "{refused:?}");
        let launch = call("server_initialize", json!({"name": "x", "command": "sh"}));
        let refused = post_as(replica, &own, &path, &launch).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        let taken = post_as(replica, &own, &path, &ping()).await;
        assert_eq!(taken.status, 202, "{taken:?}");
        assert_eq!(events.must().await["id"], 7);
    }
}

#[tokio::test]
async fn a_call_on_a_lasting_stream_holds_its_place_until_it_ends() {
    let replica = Replica::start(&[("MCP_KEY_CONCURRENCY", "1")]).await;
    let client = SseClient::open(&replica).await;
    let slow = call("slow_compute", json!({"seconds": 3600}));
    assert_eq!(client.post(&replica, &slow).await.status, 202);
    assert_eq!(replica.post("/mcp", &ping()).await.status, 429);
    drop(client);
    eventually(PATIENCE, async || {
        match replica.post("/mcp", &ping()).await.status {
            200 => Ok(()),
            status => Err(format!("{status}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_that_asks_is_stored_only_when_it_has_its_result() {
    let replica = Replica::start(&[]).await;
    let mut params = json!({
        "name": "test_input_required_result_elicitation",
        "arguments": {},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
        },
    });
    let send = async |params: &Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let request = replica
            .request("/mcp", &body)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "test_input_required_result_elicitation")
            .header("idempotency-key", "k");
        answer(request).await.body["result"].take()
    };
    let first = send(&params).await;
    assert_eq!(first["resultType"], "input_required", "{first}");
    let repeated = send(&params).await;
    assert_eq!(repeated["resultType"], "input_required", "{repeated}");
    let bare = params.clone();
    params["requestState"] = repeated["requestState"].clone();
    let ann = json!({"action": "accept", "content": {"name": "Ann"}});
    params["inputResponses"] = json!({ "user_name": ann });
    for params in [&params, &bare] {
        let done = send(params).await;
        assert_eq!(done["content"][0]["text"], "Hello, Ann!", "{done}");
    }
}
