//! The MCP methods over the tools. One handler serves every request; it holds no state of a caller.

use std::sync::Arc;

use axum::http::request::Parts;
use mcp_core::tool::ERROR_META_KEY;
use mcp_core::{ErrorCode, Failure, ToolError, idempotency};
use metrics::counter;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
    CompleteRequestMethod, CompleteRequestParams, CompleteResult, ContentBlock, CustomRequest,
    CustomResult, GetTaskParams, GetTaskResult, Implementation, ListPromptsRequestMethod,
    ListPromptsResult, ListResourceTemplatesRequestMethod, ListResourceTemplatesResult,
    ListResourcesRequestMethod, ListResourcesResult, ListToolsResult, MetaObject,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};

use crate::caller::Caller;
use crate::calls::{CallError, Calls};
use crate::idempotency::NotOnce;
use crate::metric_definitions as metric;
use crate::tools::Tools;

/// How long clients may keep the list of tools: it is the same until the process ends.
const TOOLS_TTL_MS: u64 = 60_000;

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
        let capabilities = ServerCapabilities::builder().enable_tools();
        let mut info = ServerConfig::new(if self.tools.have_tasks() {
            capabilities.enable_tasks().build()
        } else {
            capabilities.build()
        });
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
        self.tools.description(name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<Parts>();
        let Some(tool) = self.tools.get(&request.name) else {
            self.calls.refused(parts, &request.name, "unknown-tool");
            let name = mcp_core::text::bounded(&request.name, 100);
            return Err(ErrorData::invalid_params(
                format!("there is no tool {name:?}"),
                None,
            ));
        };
        let arguments = request.arguments.unwrap_or_default();
        let caller = Caller::of(&context);
        let key = context.meta.0.get(idempotency::META_KEY);
        let call = self.calls.run(tool, arguments, caller, parts, key);
        let outcome = tokio::select! {
            outcome = call => outcome,
            // The caller went away. Dropping the call ends what it started.
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("the call was cancelled", None));
            }
        };
        match outcome {
            Ok(result) => Ok(result.into()),
            Err(CallError::Tool(failure)) if failure.code == ErrorCode::Internal => {
                Err(ErrorData::internal_error(failure.message, None))
            }
            // The call goes on in another request, or has nobody to ask.
            Err(CallError::Tool(failure)) if failure.code == ErrorCode::InputRequired => {
                Ok(error_result(&failure).into())
            }
            Err(CallError::Tool(failure)) => {
                counter!(metric::TOOL_ERRORS, "tool" => tool.tool.name(), "code" => failure.code.as_str()).increment(1);
                tracing::warn!(tool = tool.tool.name(), code = %failure.code, "tool failed: {}", failure.message);
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
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = mcp_core::text::bounded(&request.method, 100);
        let what = format!("there is no method {method:?}");
        Err(ErrorData::new(
            rmcp::model::ErrorCode::METHOD_NOT_FOUND,
            what,
            None,
        ))
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let caller = Caller::of(&context);
        let replica = caller.replica().ok_or_else(no_tasks)?;
        let tasks = &replica.tasks;
        let task = tasks.get(&request.task_id, caller.owner(), &replica.relay);
        Ok(GetTaskResult::new(task.await?))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = Caller::of(&context);
        let replica = caller.replica().ok_or_else(no_tasks)?;
        let (id, answers) = (&request.task_id, request.input_responses);
        let tasks = &replica.tasks;
        tasks
            .update(id, caller.owner(), answers, &replica.relay)
            .await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = Caller::of(&context);
        let replica = caller.replica().ok_or_else(no_tasks)?;
        let tasks = &replica.tasks;
        tasks
            .cancel(&request.task_id, caller.owner(), &replica.relay)
            .await
    }
}

fn no_tasks() -> ErrorData {
    ErrorData::internal_error("this request came without a replica", None)
}

/// A failure as the result of a call: the sentence for people, the code for programs.
pub(crate) fn error_result(failure: &Failure) -> CallToolResult {
    let mut result = CallToolResult::error(vec![ContentBlock::text(failure.message.clone())]);
    if let Ok(error) = serde_json::to_value(ToolError::from(failure)) {
        let mut meta = MetaObject::new();
        meta.0.insert(ERROR_META_KEY.into(), error);
        result.meta = Some(meta);
    }
    result
}
