//! What a tool is, and the tools that the server offers. One file a tool.

pub mod server_initialize;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use mcp_core::text::shape_error;
use mcp_core::{ErrorCode, Failure};
use rmcp::model::{JsonObject, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A tool with typed arguments and a typed result.
pub trait Tool: Send + Sync + 'static {
    /// What it takes: an object.
    type Arguments: DeserializeOwned + JsonSchema + Send + 'static;
    /// What it gives: an object, sent as `structuredContent` and as text.
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
}

/// The tools of a server, by name.
#[derive(Clone, Default)]
pub struct Tools(BTreeMap<&'static str, Arc<dyn AnyTool>>);

impl Tools {
    /// Adds a tool. The last one of a name wins.
    #[must_use]
    pub fn with(mut self, tool: impl Tool) -> Self {
        self.0.insert(tool.name(), Arc::new(tool));
        self
    }

    /// Descriptions for `tools/list`, in the order of names.
    pub(crate) fn list(&self) -> Vec<rmcp::model::Tool> {
        self.0.values().map(|tool| tool.describe()).collect()
    }

    /// Waits until every tool is at its end.
    pub(crate) async fn close(&self) {
        futures::future::join_all(self.0.values().map(|tool| tool.close())).await;
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.keys().copied()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn AnyTool>> {
        self.0.get(name)
    }
}

/// A [`Tool`] without its types.
pub(crate) trait AnyTool: Send + Sync {
    fn name(&self) -> &'static str;
    fn describe(&self) -> rmcp::model::Tool;
    fn call(
        &self,
        arguments: Map<String, Value>,
        context: ToolContext,
    ) -> BoxFuture<'_, Result<Value, Failure>>;
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl<T: Tool> AnyTool for T {
    fn name(&self) -> &'static str {
        Tool::name(self)
    }

    fn describe(&self) -> rmcp::model::Tool {
        rmcp::model::Tool::new(
            Tool::name(self),
            Tool::description(self),
            schema::<T::Arguments>(),
        )
        .with_raw_output_schema(schema::<T::Output>())
        .with_annotations(self.annotations())
    }

    fn call(
        &self,
        arguments: Map<String, Value>,
        context: ToolContext,
    ) -> BoxFuture<'_, Result<Value, Failure>> {
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
            serde_json::to_value(output).map_err(|error| {
                Failure::new(
                    ErrorCode::Internal,
                    format!("the result can't be written: {error}"),
                )
            })
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Tool::close(self).boxed()
    }
}

fn schema<T: JsonSchema>() -> Arc<JsonObject> {
    match schemars::schema_for!(T).to_value() {
        Value::Object(schema) => Arc::new(schema),
        // `true` or `false` as a schema: no struct has that.
        _ => Arc::new(JsonObject::from_iter([("type".into(), "object".into())])),
    }
}
