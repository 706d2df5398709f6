//! rmcp's handler, whatever its type, and the short way to its tools.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientRequest, InitializeResult, JsonObject,
    ProtocolVersion, RequestMetaObject, ServerResult,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;

use crate::caller::CAPABILITIES;

/// Where a request says its version.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// Whether `_meta` has what 2026-07-28 requires there.
pub(super) fn says_enough(meta: &RequestMetaObject) -> bool {
    let meta = &meta.0.0;
    let says = |key: &str, fits: fn(&Value) -> bool| meta.get(key).is_some_and(fits);
    says(CAPABILITIES, Value::is_object) && says(VERSION, Value::is_string)
}

fn version(meta: &RequestMetaObject) -> Option<&str> {
    meta.0.0.get(VERSION)?.as_str()
}

/// A call, straight to its handler: rmcp's way there reads `_meta` again and again, and most requests are calls.
fn called<H: ServerHandler>(
    handler: &H,
    params: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> BoxFuture<'_, Result<ServerResult, ErrorData>> {
    let newest = ProtocolVersion::V_2026_07_28;
    let is_modern = version(&context.meta).is_some_and(|version| version >= newest.as_str());
    let response = handler.call_tool(params, context);
    response
        .map(move |response| answered(response?, is_modern))
        .boxed()
}

fn answered(response: CallToolResponse, is_modern: bool) -> Result<ServerResult, ErrorData> {
    match response {
        CallToolResponse::Complete(mut result) => {
            if !is_modern {
                // Older clients do not know it.
                result.result_type = None;
            }
            Ok(ServerResult::CallToolResult(result))
        }
        CallToolResponse::InputRequired(result) if is_modern => {
            Ok(ServerResult::InputRequiredResult(result))
        }
        // What `Caller` makes of a call comes by another way, and for those alone who know it.
        _ => Err(ErrorData::internal_error(
            "the tool's answer is none for this caller",
            None,
        )),
    }
}

/// rmcp's handler, whatever its type.
pub(super) trait Methods: Send + Sync {
    /// Why rmcp would not let a request with that `_meta` through to its method, by the names of refusals.
    fn unsound(&self, meta: &RequestMetaObject) -> Option<&'static str>;

    /// `is_sound`: [`Methods::unsound`] has nothing to say.
    fn handle(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
        is_sound: bool,
    ) -> BoxFuture<'_, Result<ServerResult, ErrorData>>;

    fn initialize(
        &self,
        asked: &rmcp::model::InitializeRequestParams,
    ) -> Result<InitializeResult, ErrorData>;

    /// Whether the server declares what the method belongs to.
    fn offers(&self, method: &str) -> bool;

    /// A tool's input schema.
    fn schema(&self, tool: &str) -> Option<Arc<JsonObject>>;
}

impl<H: ServerHandler> Methods for H {
    fn unsound(&self, meta: &RequestMetaObject) -> Option<&'static str> {
        let supported = self.supported_protocol_versions();
        let version = version(meta);
        let known = version.filter(|version| supported.iter().any(|it| it.as_str() == *version));
        match known {
            None => Some("unsupported-version"),
            Some(version) => {
                let is_old = version < ProtocolVersion::V_2026_07_28.as_str();
                (!is_old && !says_enough(meta)).then_some("invalid-request")
            }
        }
    }

    fn handle(
        &self,
        request: ClientRequest,
        context: RequestContext<RoleServer>,
        is_sound: bool,
    ) -> BoxFuture<'_, Result<ServerResult, ErrorData>> {
        let request = match request {
            ClientRequest::CallToolRequest(call) if is_sound => {
                return called(self, call.params, context);
            }
            other => other,
        };
        rmcp::Service::handle_request(self, request, context).boxed()
    }

    fn initialize(
        &self,
        asked: &rmcp::model::InitializeRequestParams,
    ) -> Result<InitializeResult, ErrorData> {
        self.negotiate_initialize(asked)
    }

    fn offers(&self, method: &str) -> bool {
        let declared = self.get_info().capabilities;
        match method.split('/').next() {
            Some("tools") => declared.tools.is_some(),
            Some("prompts") => declared.prompts.is_some(),
            Some("resources") => declared.resources.is_some(),
            Some("completion") => declared.completions.is_some(),
            Some("logging") => declared.logging.is_some(),
            Some("tasks") => declared.supports_tasks(),
            Some("skills") => declared.supports_skills(),
            _ => true,
        }
    }

    fn schema(&self, tool: &str) -> Option<Arc<JsonObject>> {
        self.get_tool(tool).map(|tool| tool.input_schema)
    }
}
