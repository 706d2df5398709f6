//! The spans of the server besides those of its HTTP requests, by OpenTelemetry's semantic conventions for MCP and for
//! command-line programs.

use axum::http::request::Parts;
use mcp_runtime::trace_context::{self, TARGET};
use rmcp::model::JsonObject;
use tracing::Span;
use tracing::field::Empty;

/// A call of a tool. `meta` is the request's `_meta`, where MCP has its trace context; its parent is that, or the HTTP
/// request in which it came.
pub(crate) fn tool_call(tool: &'static str, meta: &JsonObject) -> Span {
    let ambient = Span::current();
    let in_meta = |name: &str| meta.get(name)?.as_str();
    if !trace_context::is_recorded(&ambient, in_meta) {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: TARGET,
        "tools/call",
        otel.name = format!("tools/call {tool}"),
        otel.kind = "server",
        otel.status_code = Empty,
        mcp.method.name = "tools/call",
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = tool,
        network.transport = "tcp",
        error.type = Empty,
    );
    trace_context::set_message_parent(&span, &ambient, in_meta);
    span
}

/// A program that runs for a call. Its arguments may hold secrets and are left out.
pub(crate) fn launch(server: &str, command: &str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "launch",
        otel.name = format!("launch {command}"),
        otel.kind = "client",
        otel.status_code = Empty,
        mcp.server.name = server,
        process.executable.name = command,
        network.transport = "pipe",
        error.type = Empty,
    )
}

/// What the span stands for failed, with an error of that name.
pub(crate) fn failed(span: &Span, error_type: &str) {
    span.record("error.type", error_type);
    span.record("otel.status_code", "ERROR");
}

/// The W3C trace headers for what the call in `span` calls next: its own, or without an exporter those that came, in
/// `meta` or with the HTTP request, or new ones.
pub(crate) fn outgoing(
    span: &Span,
    meta: &JsonObject,
    parts: Option<&Parts>,
) -> Vec<(String, String)> {
    let in_meta = |name: &str| meta.get(name)?.as_str();
    let in_headers = |name: &str| parts?.headers.get(name)?.to_str().ok();
    match trace_context::extract(in_meta) {
        Some(_) => trace_context::outgoing(span, in_meta),
        None => trace_context::outgoing(span, in_headers),
    }
}
