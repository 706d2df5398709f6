//! The MCP methods over the tools. One handler serves every request; it holds no state of a caller.

use std::sync::Arc;

use axum::http::request::Parts;
use mcp_core::tool::ERROR_META_KEY;
use mcp_core::{ErrorCode, Failure, ToolError, idempotency};
use metrics::counter;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestMethod,
    CompleteRequestParams, CompleteResult, ContentBlock, CustomRequest, CustomResult,
    Implementation, ListPromptsRequestMethod, ListPromptsResult,
    ListResourceTemplatesRequestMethod, ListResourceTemplatesResult, ListResourcesRequestMethod,
    ListResourcesResult, ListToolsResult, MetaObject, PaginatedRequestParams, ServerCapabilities,
    ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;

use crate::calls::{CallError, Calls};
use crate::idempotency::NotOnce;
use crate::metric_definitions as metric;
use crate::tools::Tools;

/// How long clients may keep the list of tools: it is the same until the process ends.
const TOOLS_TTL_MS: u64 = 60_000;
/// The methods of this server. rmcp hands on a request of one of them as unknown when its `params` do not fit.
const METHODS: [&str; 3] = ["server/discover", "tools/call", "tools/list"];
/// Those that 2026-07-28 no longer has.
const LEGACY_METHODS: [&str; 2] = ["initialize", "ping"];

/// The server as rmcp sees it; cheap to clone.
#[derive(Clone)]
pub struct Handler {
    tools: Arc<Tools>,
    calls: Arc<Calls>,
}

impl Handler {
    /// A handler over those tools.
    pub(crate) fn new(tools: Tools, calls: Arc<Calls>) -> Self {
        Self {
            tools: Arc::new(tools),
            calls,
        }
    }
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("mcp-hybrid", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(
            "Tools that start, generate and publish. Each call is complete in itself: no session is kept.".into(),
        );
        info
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut result = ListToolsResult::with_all_items(self.tools.list());
        result.ttl_ms = Some(TOOLS_TTL_MS);
        result.cache_scope = Some(CacheScope::Private);
        Ok(result)
    }

    fn get_tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        self.tools.get(name).map(|tool| tool.describe())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = self.tools.get(&request.name) else {
            let parts = context.extensions.get::<Parts>();
            self.calls.refused(parts, &request.name, "unknown-tool");
            let name = mcp_core::text::bounded(&request.name, 100);
            return Err(ErrorData::invalid_params(
                format!("there is no tool {name:?}"),
                None,
            ));
        };
        let arguments = request.arguments.unwrap_or_default();
        let parts = context.extensions.get::<Parts>();
        let key = context.meta.0.get(idempotency::META_KEY);
        let call = self.calls.run(tool.as_ref(), arguments, parts, key);
        let outcome = tokio::select! {
            outcome = call => outcome,
            // The caller went away. Dropping the call ends what it started.
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("the call was cancelled", None));
            }
        };
        match outcome {
            Ok(output) => Ok(success(output).into()),
            Err(CallError::Tool(failure)) if failure.code == ErrorCode::Internal => {
                Err(ErrorData::internal_error(failure.message, None))
            }
            Err(CallError::Tool(failure)) => {
                counter!(metric::TOOL_ERRORS, "tool" => tool.name(), "code" => failure.code.as_str()).increment(1);
                tracing::warn!(tool = tool.name(), code = %failure.code, "tool failed: {}", failure.message);
                Ok(error_result(&failure).into())
            }
            Err(error @ CallError::Forbidden(_)) => {
                Err(ErrorData::invalid_request(error.to_string(), None))
            }
            Err(error @ (CallError::BadKey(_) | CallError::NotOnce(NotOnce::OtherCall))) => {
                Err(ErrorData::invalid_params(error.to_string(), None))
            }
            // -32603 is what callers try again.
            Err(error @ CallError::NotOnce(_)) => {
                Err(ErrorData::internal_error(error.to_string(), None))
            }
        }
    }

    // rmcp answers these with empty lists by default; a server without prompts and resources has no such methods.
    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<
            ListResourceTemplatesRequestMethod,
        >())
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = mcp_core::text::bounded(&request.method, 100);
        let is_legacy = context
            .protocol_version()
            .is_none_or(|version| version.has_initialize());
        let known = METHODS.contains(&&*method) || is_legacy && LEGACY_METHODS.contains(&&*method);
        Err(if known {
            let what = format!("`params` do not fit `{method}`");
            ErrorData::invalid_params(what, None)
        } else {
            let what = format!("there is no method {method:?}");
            ErrorData::new(rmcp::model::ErrorCode::METHOD_NOT_FOUND, what, None)
        })
    }
}

fn success(output: Value) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(output.to_string())]);
    result.structured_content = Some(output);
    result
}

fn error_result(failure: &Failure) -> CallToolResult {
    let mut result = CallToolResult::error(vec![ContentBlock::text(failure.message.clone())]);
    if let Ok(error) = serde_json::to_value(ToolError::from(failure)) {
        let mut meta = MetaObject::new();
        meta.0.insert(ERROR_META_KEY.into(), error);
        result.meta = Some(meta);
    }
    result
}
