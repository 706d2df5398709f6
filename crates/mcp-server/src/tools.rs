//! What a tool is, and the tools that the server offers. One file a tool.

pub mod generate_svg;
pub mod publish_server;
pub mod refine_svg;
pub mod server_initialize;
pub mod svg;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use mcp_core::text::shape_error;
use mcp_core::{ErrorCode, Failure};
use mcp_runtime::Conditions;
use metrics::{Histogram, histogram};
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::metric_definitions as metric;

/// A tool with typed arguments and a typed result.
pub trait Tool: Send + Sync + 'static {
    /// What it takes: an object.
    type Arguments: DeserializeOwned + JsonSchema + Send + 'static;
    /// What it gives: an object, sent as `structuredContent`.
    type Output: Serialize + JsonSchema + Send + 'static;

    /// Its name, unique in the server.
    fn name(&self) -> &'static str;

    /// What it does and when to use it, for the model that reads it.
    fn description(&self) -> &'static str;

    /// Hints for clients.
    fn annotations(&self) -> ToolAnnotations;

    /// Does it. The future is dropped when the caller goes away, so whatever it started must end with it.
    fn call(
        &self,
        arguments: Self::Arguments,
        context: ToolContext,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;

    /// What models and people see of the output, in place of its JSON as a text: pictures, links, a text that can be read.
    fn content(&self, _output: &Self::Output) -> Option<Vec<ContentBlock>> {
        None
    }

    /// What it does beside its calls, from the start of the server until `stop`. `ready` takes notices for `/ready`.
    fn follow(
        &self,
        _ready: &Conditions,
        _stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Waits for the end of what dropped calls have left behind; called once, when no more calls come.
    fn close(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// What a tool knows of its call.
#[derive(Clone, Debug, Default)]
pub struct ToolContext {
    /// The key under which a repetition of the call is the same call.
    pub idempotency_key: Option<String>,
    /// Who calls: to be told how far it is, and to be asked.
    pub caller: Caller,
    /// The W3C trace headers (`traceparent`, `tracestate`) for whatever the call calls next.
    pub trace: Arc<[(String, String)]>,
    /// What the caller's `Host` header says: where it has found this server.
    pub host: Option<String>,
}

/// The tools of a server, by name.
#[derive(Clone, Default)]
pub struct Tools {
    by_name: BTreeMap<Cow<'static, str>, Offered>,
    tasks: bool,
}

/// A tool and its description, which stays the same.
#[derive(Clone)]
pub(crate) struct Offered {
    pub(crate) tool: Arc<dyn AnyTool>,
    description: rmcp::model::Tool,
    well: OnceLock<Histogram>,
}

impl Offered {
    fn new(tool: Arc<dyn AnyTool>, description: rmcp::model::Tool) -> Self {
        Self {
            tool,
            description,
            well: OnceLock::new(),
        }
    }

    /// The durations of its calls that ended with `error`, empty for those that went well. Looking a metric up by its
    /// labels takes longer than recording it.
    pub(crate) fn durations(&self, error: &'static str) -> Histogram {
        let look_up =
            || histogram!(metric::TOOL_DURATION, "tool" => self.tool.name(), "error_type" => error);
        match error {
            "" => self.well.get_or_init(look_up).clone(),
            _ => look_up(),
        }
    }
}

impl Tools {
    /// Adds a tool. The last one of a name wins.
    #[must_use]
    pub fn with(mut self, tool: impl Tool) -> Self {
        let description = describe(&tool);
        let offered = Offered::new(Arc::new(tool), description);
        self.by_name
            .insert(offered.description.name.clone(), offered);
        self
    }

    /// Adds a tool that speaks MCP itself: with a schema of its own, and any kind of content.
    #[must_use]
    pub fn with_raw<F, R>(
        mut self,
        name: &'static str,
        mut description: rmcp::model::Tool,
        call: F,
    ) -> Self
    where
        F: Fn(JsonObject, ToolContext) -> R + Send + Sync + 'static,
        R: Future<Output = Result<CallToolResult, Failure>> + Send + 'static,
    {
        description.name = name.into();
        let tool = Arc::new(Raw { name, call });
        self.by_name
            .insert(name.into(), Offered::new(tool, description));
        self
    }

    /// Declares that some of the tools may go on as tasks ([`Caller::run_as_task`]).
    #[must_use]
    pub fn with_tasks(mut self) -> Self {
        self.tasks = true;
        self
    }

    pub(crate) fn have_tasks(&self) -> bool {
        self.tasks
    }

    /// Descriptions for `tools/list`, in the order of names.
    pub(crate) fn list(&self) -> Vec<rmcp::model::Tool> {
        let offered = self.by_name.values();
        offered.map(|offered| offered.description.clone()).collect()
    }

    /// Does what the tools do beside their calls, until `stop`.
    pub(crate) async fn follow(&self, ready: &Conditions, stop: CancellationToken) {
        let offered = self.by_name.values();
        let each = offered.map(|offered| offered.tool.follow(ready, stop.clone()));
        futures::future::join_all(each).await;
    }

    /// Waits until every tool is at its end.
    pub(crate) async fn close(&self) {
        let offered = self.by_name.values();
        futures::future::join_all(offered.map(|offered| offered.tool.close())).await;
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Offered> {
        self.by_name.get(name)
    }

    pub(crate) fn description(&self, name: &str) -> Option<rmcp::model::Tool> {
        Some(self.by_name.get(name)?.description.clone())
    }
}

/// A [`Tool`] without its types.
pub(crate) trait AnyTool: Send + Sync {
    fn name(&self) -> &'static str;
    fn call(
        &self,
        arguments: Map<String, Value>,
        context: ToolContext,
    ) -> BoxFuture<'_, Result<CallToolResult, Failure>>;
    fn follow<'a>(&'a self, ready: &'a Conditions, stop: CancellationToken) -> BoxFuture<'a, ()>;
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl<T: Tool> AnyTool for T {
    fn name(&self) -> &'static str {
        Tool::name(self)
    }

    fn call(
        &self,
        arguments: Map<String, Value>,
        context: ToolContext,
    ) -> BoxFuture<'_, Result<CallToolResult, Failure>> {
        async move {
            let arguments = serde_json::from_value(Value::Object(arguments)).map_err(|error| {
                Failure::new(
                    ErrorCode::InvalidArguments,
                    format!(
                        "the arguments do not fit `{}`: {}",
                        Tool::name(self),
                        // Without the value it found: that may be a secret.
                        shape_error(&error)
                    ),
                )
            })?;
            let output = Tool::call(self, arguments, context).await?;
            let content = self.content(&output);
            let output = serde_json::to_value(output).map_err(|error| {
                Failure::new(
                    ErrorCode::Internal,
                    format!("the result can't be written: {error}"),
                )
            })?;
            let content = content.unwrap_or_else(|| vec![ContentBlock::text(output.to_string())]);
            let mut result = CallToolResult::success(content);
            result.structured_content = Some(output);
            Ok(result)
        }
        .boxed()
    }

    fn follow<'a>(&'a self, ready: &'a Conditions, stop: CancellationToken) -> BoxFuture<'a, ()> {
        Tool::follow(self, ready, stop).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Tool::close(self).boxed()
    }
}

/// A tool that gives its result as it is sent.
struct Raw<F> {
    name: &'static str,
    call: F,
}

impl<F, R> AnyTool for Raw<F>
where
    F: Fn(JsonObject, ToolContext) -> R + Send + Sync,
    R: Future<Output = Result<CallToolResult, Failure>> + Send + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn call(
        &self,
        arguments: Map<String, Value>,
        context: ToolContext,
    ) -> BoxFuture<'_, Result<CallToolResult, Failure>> {
        (self.call)(arguments, context).boxed()
    }

    fn follow<'a>(&'a self, _: &'a Conditions, _: CancellationToken) -> BoxFuture<'a, ()> {
        std::future::ready(()).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

fn describe<T: Tool>(tool: &T) -> rmcp::model::Tool {
    rmcp::model::Tool::new(tool.name(), tool.description(), schema::<T::Arguments>())
        .with_raw_output_schema(schema::<T::Output>())
        .with_annotations(tool.annotations())
}

fn schema<T: JsonSchema>() -> Arc<JsonObject> {
    match schemars::schema_for!(T).to_value() {
        Value::Object(schema) => Arc::new(schema),
        // `true` or `false` as a schema: no struct has that.
        _ => Arc::new(JsonObject::from_iter([("type".into(), "object".into())])),
    }
}
