//! The MCP methods over the tools. One handler serves every request; it holds no state of a caller.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use mcp_core::tool::ERROR_META_KEY;
use mcp_core::{ErrorCode, Failure, ToolError, idempotency};
use metrics::{counter, histogram};
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
use serde_json::Value;
use tokio::time::Instant;

use crate::caller::Caller;
use crate::metric_definitions as metric;
use crate::tools::{AnyTool, ToolContext, Tools};

/// How long clients may keep the list of tools: it is the same until the process ends.
const TOOLS_TTL_MS: u64 = 60_000;
/// The last bound on a call; tools have their own, tighter ones.
const CALL_MAX: Duration = Duration::from_secs(300);

/// The server as rmcp sees it; cheap to clone.
#[derive(Clone)]
pub struct Handler {
    tools: Arc<Tools>,
}

impl Handler {
    /// A handler over those tools.
    pub fn new(tools: Tools) -> Self {
        Self {
            tools: Arc::new(tools),
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
        let Some(tool) = self.tools.get(&request.name) else {
            let name = mcp_core::text::bounded(&request.name, 100);
            return Err(ErrorData::invalid_params(
                format!("there is no tool {name:?}"),
                None,
            ));
        };
        let key = context
            .meta
            .0
            .get(idempotency::META_KEY)
            .and_then(Value::as_str);
        let tool_context = ToolContext {
            idempotency_key: key.map(str::to_owned),
            caller: Caller::of(&context),
        };
        let arguments = request.arguments.unwrap_or_default();
        let began = Instant::now();
        let call = guarded(tool.as_ref(), arguments, tool_context);
        let outcome = tokio::select! {
            outcome = call => outcome,
            // The caller went away. Dropping the call ends what it started.
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("the call was cancelled", None));
            }
        };
        let error = outcome
            .as_ref()
            .err()
            .map_or("", |failure| failure.code.as_str());
        histogram!(metric::TOOL_DURATION, "tool" => tool.name(), "error_type" => error)
            .record(began.elapsed());
        match outcome {
            Ok(result) => Ok(result.into()),
            Err(failure) if failure.code == ErrorCode::Internal => {
                Err(ErrorData::internal_error(failure.message, None))
            }
            // The call goes on in another request, or has nobody to ask.
            Err(failure) if failure.code == ErrorCode::InputRequired => {
                Ok(error_result(&failure).into())
            }
            Err(failure) => {
                counter!(metric::TOOL_ERRORS, "tool" => tool.name(), "code" => failure.code.as_str()).increment(1);
                tracing::warn!(tool = tool.name(), code = %failure.code, "tool failed: {}", failure.message);
                Ok(error_result(&failure).into())
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
        let task = replica.tasks.get(&request.task_id, &replica.relay).await?;
        Ok(GetTaskResult::new(task))
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = Caller::of(&context);
        let replica = caller.replica().ok_or_else(no_tasks)?;
        let (id, answers) = (&request.task_id, request.input_responses);
        replica.tasks.update(id, answers, &replica.relay).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = Caller::of(&context);
        let replica = caller.replica().ok_or_else(no_tasks)?;
        replica.tasks.cancel(&request.task_id, &replica.relay).await
    }
}

/// The call with a bound in time, and an answer even if it panics: without one the request would hang for ever.
async fn guarded(
    tool: &dyn AnyTool,
    arguments: serde_json::Map<String, Value>,
    context: ToolContext,
) -> Result<CallToolResult, Failure> {
    let call = AssertUnwindSafe(tool.call(arguments, context)).catch_unwind();
    match tokio::time::timeout(CALL_MAX, call).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            // The panic hook has logged where and why; the caller learns only that it was not its fault.
            counter!(metric::TOOL_ERRORS, "tool" => tool.name(), "code" => ErrorCode::Internal.as_str()).increment(1);
            let id = uuid::Uuid::new_v4();
            tracing::error!(tool = tool.name(), %id, "the tool panicked");
            Err(Failure::new(
                ErrorCode::Internal,
                format!("the tool failed inside; the server's log has it under {id}"),
            ))
        }
        Err(_) => {
            let seconds = CALL_MAX.as_secs();
            Err(Failure::new(
                ErrorCode::CallTimeout,
                format!("the tool did not end within {seconds} s"),
            ))
        }
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
