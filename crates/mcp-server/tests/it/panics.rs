//! A tool with a defect, in a server of its own making.

use mcp_core::Failure;
use mcp_runtime::Vars;
use mcp_server::{App, ServerConfig, Tool, ToolContext, Tools};
use metrics_exporter_prometheus::PrometheusBuilder;
use rmcp::model::ToolAnnotations;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::{PATIENCE, answer};

struct Defective;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Nothing {}

#[derive(serde::Serialize, schemars::JsonSchema)]
struct Never {}

impl Tool for Defective {
    type Arguments = Nothing;
    type Output = Never;

    fn name(&self) -> &'static str {
        "defective"
    }

    fn description(&self) -> &'static str {
        "Panics."
    }

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::new()
    }

    async fn call(&self, _: Nothing, _: ToolContext) -> Result<Never, Failure> {
        panic!("hunter2");
    }
}

#[tokio::test]
async fn a_tool_that_panics_is_answered_for_and_the_server_goes_on() {
    let config = ServerConfig::from_vars(&Vars::default()).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/message", listener.local_addr().unwrap());
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    let app = App::with_tools(&config, Tools::default().with(Defective), metrics);
    let stop = CancellationToken::new();
    let served = tokio::spawn(mcp_server::run(listener, app, stop.clone()));
    for _ in 0..2 {
        let params = json!({"name": "defective", "arguments": {}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let request = reqwest::Client::new()
            .post(&url)
            .header("content-type", "application/json");
        let answer = answer(request.body(body.to_string()).timeout(PATIENCE)).await;
        assert_eq!(
            answer.body["error"]["code"],
            Value::from(-32603),
            "{answer:?}"
        );
        assert!(!answer.body.to_string().contains("hunter2"));
    }
    stop.cancel();
    served.await.unwrap().unwrap();
}
