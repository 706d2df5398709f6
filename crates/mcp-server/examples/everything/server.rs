//! The product's handler with more tools, and with resources, prompts, completion and subscriptions around it.

mod asking;
mod content;
mod handler;
mod prompts;
mod resources;
mod tasks;

use mcp_server::{App, ServerConfig, Tools};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use tokio::sync::broadcast;

/// How many changes a slow subscriber may be behind.
const CHANGES_MAX: usize = 16;

/// What subscribers are told of.
#[derive(Clone, Copy, Debug)]
enum Change {
    Tools,
    Prompts,
}

/// The whole server.
pub(crate) fn app(config: &ServerConfig, metrics: PrometheusHandle) -> App {
    let (changes, _) = broadcast::channel(CHANGES_MAX);
    let tools = content::add(mcp_server::app::tools(config), &changes);
    let tools = tasks::add(asking::add(tools)).with_tasks();
    App::with_handler(
        config,
        tools,
        |inner| handler::Everything { inner, changes },
        metrics,
    )
}

/// Adds a tool whose input schema is `schema`.
fn with<F, R>(tools: Tools, name: &'static str, what: &'static str, schema: Value, call: F) -> Tools
where
    F: Fn(rmcp::model::JsonObject, mcp_server::ToolContext) -> R + Send + Sync + 'static,
    R: Future<Output = Result<rmcp::model::CallToolResult, mcp_core::Failure>> + Send + 'static,
{
    let schema = schema.as_object().cloned().unwrap_or_default();
    tools.with_raw(name, rmcp::model::Tool::new(name, what, schema), call)
}

/// A schema of an object that takes nothing.
fn nothing() -> Value {
    serde_json::json!({"type": "object"})
}

/// An argument that is a string.
fn text_of(arguments: &rmcp::model::JsonObject, name: &str) -> String {
    arguments
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
