//! The MCP methods over the tools. One handler serves every request; it holds no state of a caller.

use std::sync::Arc;

use axum::http::request::Parts;
use mcp_core::tool::ERROR_META_KEY;
use mcp_core::{ErrorCode, Failure, ToolError, idempotency};
use mcp_runtime::log_fields::{Fields, TRACE_ID};
use mcp_runtime::trace_context;
use metrics::counter;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
    CompleteRequestMethod, CompleteRequestParams, CompleteResult, ContentBlock, CustomRequest,
    CustomResult, GetTaskParams, GetTaskResult, Implementation, JsonObject,
    ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesRequestMethod,
    ListResourceTemplatesResult, ListResourcesRequestMethod, ListResourcesResult, ListToolsResult,
    MetaObject, PaginatedRequestParams, ServerCapabilities, ServerConfig, UpdateTaskParams,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tracing::{Instrument as _, Span};

use crate::caller::Caller;
use crate::calls::{CallError, Calls};
use crate::idempotency::{BadKey, NotOnce, key_of};
use crate::metric_definitions as metric;
use crate::spans;
use crate::tools::{Offered, Tools};

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

    /// A call of a tool, in its span.
    async fn call(
        &self,
        tool: &Offered,
        arguments: JsonObject,
        context: &RequestContext<RoleServer>,
        key: Result<Option<String>, BadKey>,
        trace: Arc<[(String, String)]>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (parts, caller) = (context.extensions.get(), Caller::of(context));
        let call = self.calls.run(tool, arguments, caller, parts, key, trace);
        let outcome = tokio::select! {
            outcome = call => outcome,
            // The caller went away. Dropping the call ends what it started.
            () = context.ct.cancelled() => {
                return Err(ErrorData::internal_error("the call was cancelled", None));
            }
        };
        match &outcome {
            Ok(result) if result.is_error == Some(true) => {
                spans::failed(&Span::current(), "tool_error")
            }
            Ok(_) => {}
            // It goes on in another request.
            Err(CallError::Tool(failure)) if failure.code == ErrorCode::InputRequired => {}
            Err(error) => spans::failed(&Span::current(), error.name()),
        }
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
}

/// What each log line of a call says besides its own.
fn log_fields(trace: &[(String, String)], key: Option<&str>) -> Fields {
    let trace_id = trace_context::trace_id_of(trace).map(str::to_owned);
    // It holds the job's id: `{topic}/{jobID}/{step}`.
    let key = key.map(|key| mcp_core::text::bounded(key, 256));
    [(TRACE_ID, trace_id), ("idempotency_key", key)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
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
        let meta = &context.meta.0;
        let header = parts.and_then(|parts| parts.headers.get(idempotency::HEADER));
        let key = key_of(meta.get(idempotency::META_KEY), header);
        let span = spans::tool_call(tool.tool.name(), meta);
        let trace: Arc<[_]> = spans::outgoing(&span, meta, parts).into();
        let fields = log_fields(&trace, key.as_ref().ok().and_then(|key| key.as_deref()));
        let call = self.call(tool, arguments, &context, key, trace);
        mcp_runtime::log_fields::with(fields, call)
            .instrument(span)
            .await
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
