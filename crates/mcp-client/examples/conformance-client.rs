//! The client that the official conformance suite drives: the URL of its server is the last argument, the scenario
//! stands in `MCP_CONFORMANCE_SCENARIO`, values for it in `MCP_CONFORMANCE_CONTEXT`.

use std::error::Error;
use std::time::Duration;

use mcp_client::{Handshake, McpClient, ServerUrl, ToolCall};
use serde_json::{Map, Value, json};

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().next_back().unwrap_or_default();
    let scenario = std::env::var("MCP_CONFORMANCE_SCENARIO")?;
    let client = McpClient::builder(ServerUrl::parse(&endpoint(&url))?).build()?;
    let handshake = client.initialize(LIMIT).await?;
    for (tool, arguments) in calls(&scenario, &handshake)? {
        let call = ToolCall {
            tool: &tool,
            arguments: &arguments,
            idempotency_key: None,
            trace: &[],
            timeout: LIMIT,
        };
        client.call_tool(call).await?;
    }
    client.close(LIMIT).await;
    Ok(())
}

/// Some scenarios name their endpoint by a URL without a path, which stands for `/message` otherwise.
fn endpoint(url: &str) -> String {
    match url.matches('/').count() {
        2 => format!("{url}/mcp"),
        _ => url.to_owned(),
    }
}

/// A tool and its arguments.
type Call = (String, Map<String, Value>);

/// The tools to call.
fn calls(scenario: &str, handshake: &Handshake) -> Result<Vec<Call>, Box<dyn Error>> {
    let names = || handshake.tools.iter().map(|tool| tool.name.clone());
    let calls = match scenario {
        "tools_call" => vec![("add_numbers".to_owned(), json!({"a": 5, "b": 3}))],
        "sse-retry" => vec![("test_reconnection".to_owned(), json!({}))],
        "http-standard-headers" => names().map(|name| (name, json!({}))).collect(),
        "http-invalid-tool-headers" => names()
            .map(|name| (name, json!({"region": "eu"})))
            .collect(),
        "http-custom-headers" => {
            let context: Value = serde_json::from_str(&std::env::var("MCP_CONFORMANCE_CONTEXT")?)?;
            let calls = context["toolCalls"].as_array().cloned().unwrap_or_default();
            let call = |call: Value| {
                (
                    call["name"].as_str().unwrap_or_default().to_owned(),
                    call["arguments"].clone(),
                )
            };
            calls.into_iter().map(call).collect()
        }
        "json-schema-2020-12-preservation" => {
            let focal = handshake
                .tools
                .iter()
                .find(|tool| tool.name == "json_schema_2020_12_tool");
            let schema = focal.map(|tool| tool.input_schema.clone());
            vec![("json_schema_echo".to_owned(), json!({"schema": schema}))]
        }
        // The introduction is all that is looked at.
        "initialize" | "request-metadata" | "json-schema-ref-no-deref" => Vec::new(),
        other => return Err(format!("no tool caller takes part in the scenario {other}").into()),
    };
    let arguments = |value: Value| value.as_object().cloned().unwrap_or_default();
    Ok(calls
        .into_iter()
        .map(|(name, value)| (name, arguments(value)))
        .collect())
}
