//! From a method and its parameters, as they are written, to rmcp's request: by name, where rmcp's own deserialiser would
//! try one type after the other.

#![expect(
    deprecated,
    reason = "what is deprecated since 2026-07-28; clients of the older eras have it"
)]

use mcp_core::text::shape_error;
use rmcp::ErrorData;
use rmcp::model::{CallToolRequestParams, DiscoverRequestParams, JsonObject};
use rmcp::model::{
    CancelTaskParams, ClientRequest, CompleteRequestParams, CustomRequest, GetPromptRequestParams,
    GetSkillRequestParams, GetTaskParams, InitializeRequestParams, InputResponses,
    PaginatedRequestParams, PingRequest, ReadResourceDirectoryRequestParams,
    ReadResourceRequestParams, Request, RequestMetaObject, RequestOptionalParam,
    SetLevelRequestParams, SubscribeRequestParams, SubscriptionsListenRequestParams,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// Largest `_meta`, in bytes: it is kept for as long as its request runs.
const META_MAX: usize = 64 * 1024;

/// A request, or why its parameters are not those of the method; and its `_meta`, empty if there is none.
///
/// # Errors
/// When `_meta` is no object, or too large.
pub(super) fn read(
    method: &str,
    params: Option<&RawValue>,
) -> Result<(RequestMetaObject, Result<ClientRequest, ErrorData>), ErrorData> {
    if params.is_some_and(|params| params.get().len() > META_MAX) {
        bound_meta(params)?;
    }
    // Most requests are calls, and most fit: one pass over them.
    if method == "tools/call"
        && let Some(params) = params
        && let Ok(call) = serde_json::from_str::<Call>(params.get())
    {
        let (meta, params) = call.into_parts();
        return Ok((
            meta,
            Ok(ClientRequest::CallToolRequest(Request::new(params))),
        ));
    }
    Ok((meta(params)?, build(method, params)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    name: String,
    arguments: Option<JsonObject>,
    input_responses: Option<InputResponses>,
    request_state: Option<String>,
    #[serde(rename = "_meta")]
    meta: Option<RequestMetaObject>,
}

impl Call {
    fn into_parts(self) -> (RequestMetaObject, CallToolRequestParams) {
        let mut params = CallToolRequestParams::new(self.name);
        params.arguments = self.arguments;
        params.input_responses = self.input_responses;
        params.request_state = self.request_state;
        (self.meta.unwrap_or_default(), params)
    }
}

fn bound_meta(params: Option<&RawValue>) -> Result<(), ErrorData> {
    #[derive(Deserialize)]
    struct WithMeta<'a> {
        #[serde(borrow)]
        _meta: Option<&'a RawValue>,
    }
    let with = params.and_then(|params| serde_json::from_str::<WithMeta<'_>>(params.get()).ok());
    match with.and_then(|with| with._meta) {
        Some(meta) if meta.get().len() > META_MAX => Err(ErrorData::invalid_params(
            format!("`_meta` is larger than {META_MAX} bytes"),
            None,
        )),
        _ => Ok(()),
    }
}

fn meta(params: Option<&RawValue>) -> Result<RequestMetaObject, ErrorData> {
    #[derive(Deserialize)]
    struct WithMeta {
        _meta: Option<RequestMetaObject>,
    }
    let Some(params) = params else {
        return Ok(RequestMetaObject::default());
    };
    let with: WithMeta = serde_json::from_str(params.get())
        .map_err(|_| ErrorData::invalid_params("`_meta` must be an object", None))?;
    Ok(with._meta.unwrap_or_default())
}

fn build(method: &str, params: Option<&RawValue>) -> Result<ClientRequest, ErrorData> {
    let written = Written { method, params };
    Ok(match method {
        "tools/call" => {
            ClientRequest::CallToolRequest(Request::new(written.parse::<Call>()?.into_parts().1))
        }
        "tools/list" => ClientRequest::ListToolsRequest(written.page()?),
        "initialize" => {
            ClientRequest::InitializeRequest(written.read::<_, InitializeRequestParams>()?)
        }
        "ping" => ClientRequest::PingRequest(PingRequest {
            method: Default::default(),
            extensions: Default::default(),
        }),
        "server/discover" => ClientRequest::DiscoverRequest(Request::new(DiscoverRequestParams {})),
        "completion/complete" => {
            ClientRequest::CompleteRequest(written.read::<_, CompleteRequestParams>()?)
        }
        "logging/setLevel" => {
            ClientRequest::SetLevelRequest(written.read::<_, SetLevelRequestParams>()?)
        }
        "prompts/get" => {
            ClientRequest::GetPromptRequest(written.read::<_, GetPromptRequestParams>()?)
        }
        "prompts/list" => ClientRequest::ListPromptsRequest(written.page()?),
        "resources/list" => ClientRequest::ListResourcesRequest(written.page()?),
        "resources/templates/list" => ClientRequest::ListResourceTemplatesRequest(written.page()?),
        "resources/read" => {
            ClientRequest::ReadResourceRequest(written.read::<_, ReadResourceRequestParams>()?)
        }
        "resources/subscribe" => {
            ClientRequest::SubscribeRequest(written.read::<_, SubscribeRequestParams>()?)
        }
        "resources/unsubscribe" => {
            ClientRequest::UnsubscribeRequest(written.read::<_, UnsubscribeRequestParams>()?)
        }
        "resources/directory/read" => {
            let request = written.read::<_, ReadResourceDirectoryRequestParams>()?;
            ClientRequest::ReadResourceDirectoryRequest(request)
        }
        "subscriptions/listen" => {
            let request = written.read::<_, SubscriptionsListenRequestParams>()?;
            ClientRequest::SubscriptionsListenRequest(request)
        }
        "tasks/get" => ClientRequest::GetTaskRequest(written.read::<_, GetTaskParams>()?),
        "tasks/update" => ClientRequest::UpdateTaskRequest(written.read::<_, UpdateTaskParams>()?),
        "tasks/cancel" => ClientRequest::CancelTaskRequest(written.read::<_, CancelTaskParams>()?),
        "skills/list" => ClientRequest::ListSkillsRequest(written.page()?),
        "skills/get" => ClientRequest::GetSkillRequest(written.read::<_, GetSkillRequestParams>()?),
        _ => {
            let params = params.map(|params| serde_json::from_str(params.get()));
            let params = params.transpose().map_err(|error| written.misfit(&error))?;
            ClientRequest::CustomRequest(CustomRequest::new(method, params))
        }
    })
}

/// What `Mcp-Name` must say: the name, URI or task that the request is about.
pub(super) fn subject(request: &ClientRequest) -> Option<&str> {
    match request {
        ClientRequest::CallToolRequest(request) => Some(&request.params.name),
        ClientRequest::GetPromptRequest(request) => Some(&request.params.name),
        ClientRequest::ReadResourceRequest(request) => Some(&request.params.uri),
        ClientRequest::SubscribeRequest(request) => Some(&request.params.uri),
        ClientRequest::UnsubscribeRequest(request) => Some(&request.params.uri),
        ClientRequest::GetTaskRequest(request) => Some(&request.params.task_id),
        ClientRequest::UpdateTaskRequest(request) => Some(&request.params.task_id),
        ClientRequest::CancelTaskRequest(request) => Some(&request.params.task_id),
        _ => None,
    }
}

/// What a client brings when it comes back with the answers that a request needed.
#[derive(Default)]
pub(super) struct Return {
    pub(super) answers: InputResponses,
    pub(super) state: Option<String>,
}

/// Takes it out of the request; `None` for methods that can't need any.
pub(super) fn take_return(request: &mut ClientRequest) -> Option<Return> {
    let (answers, state) = match request {
        ClientRequest::CallToolRequest(request) => {
            let params = &mut request.params;
            (params.input_responses.take(), params.request_state.take())
        }
        ClientRequest::GetPromptRequest(request) => {
            let params = &mut request.params;
            (params.input_responses.take(), params.request_state.take())
        }
        ClientRequest::ReadResourceRequest(request) => {
            let params = &mut request.params;
            (params.input_responses.take(), params.request_state.take())
        }
        _ => return None,
    };
    let answers = answers.unwrap_or_default();
    Some(Return { answers, state })
}

/// The bytes that two sendings of the same request have in common, and no two different ones do.
pub(super) fn identity(method: &str, params: Option<&str>) -> Vec<u8> {
    // Of any type: what a method does not read may be anything, and must not hide what it does.
    #[derive(Deserialize, Default)]
    struct Subject {
        name: Option<Value>,
        uri: Option<Value>,
        arguments: Option<Value>,
    }
    let subject = params.and_then(|params| serde_json::from_str(params).ok());
    let subject: Subject = subject.unwrap_or_default();
    let mut arguments = subject.arguments.unwrap_or_default();
    arguments.sort_all_objects();
    serde_json::to_vec(&(method, subject.name, subject.uri, arguments)).unwrap_or_default()
}

struct Written<'a> {
    method: &'a str,
    params: Option<&'a RawValue>,
}

impl Written<'_> {
    fn read<M: Default, P: DeserializeOwned>(&self) -> Result<Request<M, P>, ErrorData> {
        self.parse().map(Request::new)
    }

    fn page<M: Default>(
        &self,
    ) -> Result<RequestOptionalParam<M, PaginatedRequestParams>, ErrorData> {
        self.parse().map(RequestOptionalParam::with_param)
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, ErrorData> {
        let text = self.params.map_or("{}", RawValue::get);
        serde_json::from_str(text).map_err(|error| self.misfit(&error))
    }

    fn misfit(&self, error: &serde_json::Error) -> ErrorData {
        // Without the value it found: that may be a secret.
        let what = format!(
            "`params` do not fit `{}`: {}",
            self.method,
            shape_error(error)
        );
        ErrorData::invalid_params(what, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_call_is_read_with_its_arguments_and_its_meta() {
        let params = raw(r#"{"name":"a","arguments":{"x":1},"_meta":{"progressToken":7}}"#);
        let (meta, request) = read("tools/call", Some(&params)).unwrap();
        let request = request.unwrap();
        assert_eq!(subject(&request), Some("a"));
        assert_eq!(meta.0.0["progressToken"], 7);
        let ClientRequest::CallToolRequest(request) = request else {
            panic!("a call");
        };
        assert_eq!(request.params.arguments.unwrap()["x"], 1);
    }

    #[test]
    fn parameters_of_another_shape_are_refused_without_their_values() {
        let params = raw(r#"{"name":"a","arguments":"hunter2"}"#);
        let error = read("tools/call", Some(&params)).unwrap().1.unwrap_err();
        assert_eq!(error.code, rmcp::model::ErrorCode::INVALID_PARAMS);
        assert!(!error.message.contains("hunter2"), "{error:?}");
        read("tools/call", None).unwrap().1.unwrap_err();
        read("tools/list", None).unwrap().1.unwrap();
        for method in ["tools/call", "tools/list"] {
            read(method, Some(&raw(r#"{"name":"a","_meta":7}"#))).unwrap_err();
        }
    }

    #[test]
    fn meta_has_a_bound_and_arguments_have_the_bodys() {
        let text = "x".repeat(META_MAX);
        for method in ["tools/call", "tools/list"] {
            let large = raw(&format!(r#"{{"name":"a","_meta":{{"x":"{text}"}}}}"#));
            let error = read(method, Some(&large)).unwrap_err();
            assert_eq!(error.code, rmcp::model::ErrorCode::INVALID_PARAMS);
        }
        let large = raw(&format!(
            r#"{{"name":"a","arguments":{{"x":"{text}"}},"_meta":{{}}}}"#
        ));
        read("tools/call", Some(&large)).unwrap().1.unwrap();
    }

    #[test]
    fn the_same_request_is_the_same_in_any_order_of_its_arguments() {
        let identity = |text| identity("tools/call", Some(text));
        let one = identity(r#"{"name":"a","arguments":{"x":1,"y":{"a":1,"b":2}}}"#);
        assert_eq!(
            one,
            identity(r#"{"arguments":{"y":{"b":2,"a":1},"x":1},"name":"a"}"#)
        );
        assert_ne!(
            one,
            identity(r#"{"name":"a","arguments":{"x":2,"y":{"a":1,"b":2}}}"#)
        );
        assert_ne!(
            identity(r#"{"name":"a","uri":7}"#),
            identity(r#"{"name":"b","uri":7}"#)
        );
    }
}
