//! A tool of somebody else, beside the product's: what "To add a tool" in ARCHITECTURE.md says, done from outside.

use std::time::Duration;

use mcp_client::{McpClient, ServerUrl, ToolCall};
use mcp_core::{ErrorCode, Failure};
use mcp_runtime::Vars;
use mcp_server::{App, ServerConfig, Tool, ToolContext};
use metrics_exporter_prometheus::PrometheusBuilder;
use rmcp::model::{ContentBlock, ToolAnnotations};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::server::PATIENCE;

/// Its arguments.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Words {
    /// What to count the words of.
    text: String,
}

/// Its result.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Count {
    words: usize,
    longest: String,
}

/// Its handler.
struct CountWords;

impl Tool for CountWords {
    type Arguments = Words;
    type Output = Count;

    fn name(&self) -> &'static str {
        "count_words"
    }

    fn description(&self) -> &'static str {
        "Counts the words of a text and finds the longest."
    }

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::with_title("Count words").read_only(true)
    }

    async fn call(&self, arguments: Words, _: ToolContext) -> Result<Count, Failure> {
        let words: Vec<&str> = arguments.text.split_whitespace().collect();
        let Some(longest) = words.iter().max_by_key(|word| word.len()) else {
            return Err(Failure::new(ErrorCode::InvalidArguments, "`text` is empty"));
        };
        Ok(Count {
            words: words.len(),
            longest: (*longest).to_owned(),
        })
    }

    fn content(&self, count: &Count) -> Option<Vec<ContentBlock>> {
        Some(vec![ContentBlock::text(format!("{} words", count.words))])
    }
}

/// The product with that tool: one line more.
async fn server() -> (String, DropGuard) {
    let vars = Vars::default().with("MCP_AUDIT_LOG", "none");
    let config = ServerConfig::from_vars(&vars).unwrap();
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let tools = mcp_server::app::tools(&config).with(CountWords);
    let app = App::with_tools(&config, tools, metrics);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(mcp_server::run(listener, app, stop.clone()));
    (url, stop.drop_guard())
}

async fn call(client: &McpClient, arguments: Value) -> Result<mcp_client::CallToolResult, Failure> {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are an object");
    };
    let call = ToolCall {
        tool: "count_words",
        arguments: &arguments,
        idempotency_key: None,
        trace: &[],
        timeout: PATIENCE,
    };
    client.call_tool(call).await
}

#[tokio::test]
async fn a_tool_from_outside_is_typed_listed_and_called_like_the_products_own() {
    let (url, _stop) = server().await;
    let client = McpClient::builder(ServerUrl::parse(&url).unwrap())
        .build()
        .unwrap();

    let result = call(&client, json!({"text": "so many words"}))
        .await
        .unwrap();
    let count: Count = result.output().unwrap();
    let longest = "words".to_owned();
    assert_eq!(count, Count { words: 3, longest });
    assert_eq!(result.text(), Some("3 words"));

    let failure = call(&client, json!({"text": " "})).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::InvalidArguments);
    let failure = call(&client, json!({"text": 7})).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::InvalidArguments);
    assert!(failure.message.contains("expected a string"), "{failure}");

    let listed = listed(&url).await;
    let names: Vec<_> = listed
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    assert!(names.contains(&"server_initialize"), "{names:?}");
    for tool in &listed {
        for schema in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[schema]["type"], "object", "{schema} of {tool}");
        }
    }
    let own = listed
        .iter()
        .find(|tool| tool["name"] == "count_words")
        .unwrap();
    assert_eq!(own["inputSchema"]["required"], json!(["text"]));
    assert_eq!(own["outputSchema"]["required"], json!(["words", "longest"]));
    assert_eq!(own["annotations"]["readOnlyHint"], true);
}

async fn listed(url: &str) -> Vec<Value> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let answer = reqwest::Client::new()
        .post(format!("{url}/mcp"))
        .header("content-type", "application/json")
        .timeout(Duration::from_secs(20))
        .body(body.to_string())
        .send()
        .await
        .unwrap();
    let answer: Map<String, Value> = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    answer["result"]["tools"].as_array().unwrap().clone()
}
