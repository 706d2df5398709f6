//! One request, from its message to its answer. The handler's future is polled by whoever reads the answer: when that
//! caller goes away, the call is dropped, and with it all that it started.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use rmcp::model::{
    ClientRequest, CustomRequest, ErrorCode, InputRequiredResult, InputResponses, ProtocolVersion,
    RequestId, RequestMetaObject, ServerJsonRpcMessage, ServerResult,
};
use rmcp::service::{Peer, RequestContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use serde_json::value::RawValue;

use super::headers::{self, Claims, Refused};
use super::methods::{Methods, says_enough};
use super::peer;
use super::request::{self, Return};
use crate::access::Access;
use crate::caller::outbox::Outbox;
use crate::caller::{Caller, NewCaller, Suspension, encode};
use crate::replica::Replica;
use crate::running::Sender;

/// Methods that 2026-07-28 no longer has, whatever their parameters.
const REMOVED: [&str; 5] = [
    "initialize",
    "ping",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
];

/// The MCP methods, and what they share.
pub(crate) struct Service {
    methods: Arc<dyn Methods>,
    nobody: Peer<RoleServer>,
    pub(super) access: Access,
    /// Largest request body, in bytes.
    pub(super) body_max: usize,
    pub(crate) replica: Arc<Replica>,
}

/// A request as it came.
pub(crate) struct Incoming<'a> {
    pub(crate) id: RequestId,
    pub(crate) method: &'a str,
    pub(crate) params: Option<&'a RawValue>,
    pub(crate) parts: Parts,
    /// Where messages meanwhile go; `None` when the caller takes none.
    pub(crate) outbox: Option<Arc<Outbox>>,
    /// What is known of the caller from before, on a stream that lasts.
    pub(crate) known: Option<&'a Known>,
}

/// What a client said when its lasting stream began.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) version: ProtocolVersion,
    pub(crate) capabilities: Value,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

/// A request under way.
pub(crate) type Call = BoxFuture<'static, Reply>;

impl Service {
    pub(crate) fn new<H: ServerHandler>(
        handler: H,
        access: Access,
        body_max: usize,
        replica: Arc<Replica>,
    ) -> Self {
        Self {
            methods: Arc::new(handler),
            nobody: peer::nobody(),
            access,
            body_max,
            replica,
        }
    }

    /// Begins a request.
    ///
    /// # Errors
    /// It is refused: it does not fit its method, or its headers do not fit it.
    pub(super) fn begin(self: &Arc<Self>, incoming: Incoming<'_>) -> Result<Call, Refused> {
        let Incoming {
            id,
            method,
            params,
            parts,
            outbox,
            known,
        } = incoming;
        let refuse = |error| Refused(StatusCode::OK, error);
        let (mut meta, built) = request::read(method, params)
            .map_err(|error| Refused(StatusCode::BAD_REQUEST, error))?;
        let is_modern = |version: &ProtocolVersion| *version >= ProtocolVersion::V_2026_07_28;
        let own = meta.protocol_version();
        let built = match &own {
            Some(version) if is_modern(version) && REMOVED.contains(&method) => Ok(
                ClientRequest::CustomRequest(CustomRequest::new(method, None)),
            ),
            _ => built.or_else(|misfit| {
                // What is not offered does not exist, whatever its parameters.
                let custom = || ClientRequest::CustomRequest(CustomRequest::new(method, None));
                (!self.methods.offers(method)).then(custom).ok_or(misfit)
            }),
        };
        let (version, is_own) = match known {
            Some(known) => (known.version.clone(), false),
            None => {
                let claims = self.claims(method, built.as_ref().ok(), &meta, own);
                let version = headers::check(&parts.headers, claims)?;
                (version.version, version.is_own)
            }
        };
        let mut request = built.map_err(refuse)?;
        if let ClientRequest::InitializeRequest(initialize) = &request {
            let asked = &initialize.params;
            if known.is_none() {
                headers::check_initialize(&parts.headers, asked.protocol_version.as_str())?;
            }
            let result = self.methods.initialize(asked).map_err(refuse)?;
            let reply = Reply::result(id, ServerResult::InitializeResult(result));
            return Ok(std::future::ready(reply).boxed());
        }
        let is_discover = matches!(request, ClientRequest::DiscoverRequest(_));
        // Such requests have HTTP statuses for their errors; older ones are always answered with 200.
        let speaks_http = is_own || is_discover;
        let is_complete = !speaks_http || says_enough(&meta);
        if !is_own {
            meta.set_protocol_version(version.clone());
        }
        let unsound = self.methods.unsound(&meta);
        if let (Some(why), ClientRequest::CallToolRequest(call)) = (unsound, &request) {
            // It is answered with an error before it gets to where calls are written down.
            self.refused(why, &Sender::of(&parts), Some(&call.params.name));
        }
        let returned = request::take_return(&mut request);
        let identity = returned
            .as_ref()
            .filter(|_| is_modern(&version))
            .map(|_| Identity {
                method: method.to_owned(),
                params: params.map(|params| params.get().to_owned()),
                credentials: parts.headers.get(AUTHORIZATION).cloned(),
            });
        let mut prepared = Prepared {
            id,
            request,
            meta,
            parts,
            outbox,
            is_stateless: is_modern(&version),
            capabilities: known.map(|known| known.capabilities.clone()),
            returned: returned.unwrap_or_default(),
            identity,
            is_sound: unsound.is_none(),
        };
        let service = Arc::clone(self);
        let reply = move |id, outcome: Result<_, ErrorData>| match outcome {
            Ok(result) => Reply::result(id, result),
            Err(error) => {
                let status = status(speaks_http, is_complete, error.code);
                Reply::error(status, Some(id), error)
            }
        };
        Ok(match prepared.returned.state.take() {
            // Most have none. What happens before the handler runs happens here and now: all that is kept for later is
            // moved whenever the call is.
            None => {
                let ready = prepared.ready(&service, InputResponses::new());
                let call = async move {
                    let id = ready.context.id.clone();
                    reply(id, service.run(ready).await)
                };
                call.boxed()
            }
            Some(state) => {
                let call = async move {
                    let id = prepared.id.clone();
                    let brought = match &prepared.identity {
                        Some(identity) => service.replica.unseal(&state, &identity.bytes()).await,
                        None => Ok(InputResponses::new()),
                    };
                    if matches!(&brought, Err(error) if error.code == ErrorCode::INVALID_PARAMS) {
                        let tool = match &prepared.request {
                            ClientRequest::CallToolRequest(call) => Some(&*call.params.name),
                            _ => None,
                        };
                        service.refused("foreign-state", &Sender::of(&prepared.parts), tool);
                    }
                    let outcome = match brought {
                        Ok(answers) => service.run(prepared.ready(&service, answers)).await,
                        Err(error) => Err(error),
                    };
                    reply(id, outcome)
                };
                call.boxed()
            }
        })
    }

    async fn run(&self, ready: Ready) -> Result<ServerResult, ErrorData> {
        let Ready {
            request,
            context,
            caller,
            identity,
            is_sound,
        } = ready;
        let _cancelled = context.ct.clone().drop_guard();
        let handled = self.methods.handle(request, context, is_sound);
        let result = match AssertUnwindSafe(handled).catch_unwind().await {
            Ok(result) => result,
            Err(_) => Err(defect()),
        };
        match (caller.suspension(), identity) {
            (Some((by, taken)), Some(identity)) => {
                // Boxed: few calls need it, and all would carry its size.
                Box::pin(self.suspended(by, taken, &identity)).await
            }
            _ => result,
        }
    }

    async fn suspended(
        &self,
        by: Suspension,
        taken: InputResponses,
        identity: &Identity,
    ) -> Result<ServerResult, ErrorData> {
        match by {
            Suspension::Input(requests) => {
                let state = self.replica.seal(taken, &identity.bytes()).await?;
                let result = InputRequiredResult::new(Some(requests), Some(state));
                Ok(ServerResult::InputRequiredResult(result))
            }
            Suspension::Missing(capabilities) => {
                Err(ErrorData::missing_required_client_capability(*capabilities))
            }
            Suspension::Task(created) => Ok(ServerResult::CreateTaskResult(*created)),
        }
    }

    fn claims<'a>(
        &self,
        method: &'a str,
        request: Option<&'a ClientRequest>,
        meta: &'a RequestMetaObject,
        own: Option<ProtocolVersion>,
    ) -> Claims<'a> {
        let call = match request {
            Some(ClientRequest::CallToolRequest(call)) => Some(&call.params),
            _ => None,
        };
        Claims {
            method,
            subject: request.and_then(request::subject),
            arguments: call.and_then(|call| call.arguments.as_ref()),
            schema: call
                .filter(|_| own.is_some())
                .and_then(|call| self.methods.schema(&call.name)),
            meta,
            own,
        }
    }
}

/// A request that has passed its checks.
struct Prepared {
    id: RequestId,
    request: ClientRequest,
    meta: RequestMetaObject,
    parts: Parts,
    outbox: Option<Arc<Outbox>>,
    is_stateless: bool,
    capabilities: Option<Value>,
    returned: Return,
    identity: Option<Identity>,
    is_sound: bool,
}

impl Prepared {
    /// With its context, and the answers that an earlier request has brought.
    fn ready(self, service: &Service, mut answers: InputResponses) -> Ready {
        let Self {
            id,
            request,
            meta,
            parts,
            outbox,
            is_stateless,
            capabilities,
            returned,
            identity,
            is_sound,
        } = self;
        answers.extend(returned.answers);
        let caller = Caller::from(NewCaller {
            replica: &service.replica,
            principal: parts.extensions.get().cloned(),
            is_stateless,
            meta: &meta,
            capabilities,
            outbox: outbox.clone(),
            answers,
        });
        let is_subscription = matches!(request, ClientRequest::SubscriptionsListenRequest(_));
        let peer = match outbox {
            Some(outbox) if is_subscription => peer::of(outbox),
            _ => service.nobody.clone(),
        };
        let mut context = RequestContext::new(id, peer);
        context.meta = meta;
        context.extensions.insert(caller.clone());
        // For handlers that look at headers, or at what a layer has found out about the caller.
        context.extensions.insert(parts);
        if is_subscription {
            context.ct = service.replica.draining.child_token();
        }
        Ready {
            request,
            context,
            caller,
            identity,
            is_sound,
        }
    }
}

/// A request that can be handed to its handler.
struct Ready {
    request: ClientRequest,
    context: RequestContext<RoleServer>,
    caller: Caller,
    identity: Option<Identity>,
    is_sound: bool,
}

/// Who asks for what: a `requestState` is good for that alone.
struct Identity {
    method: String,
    params: Option<String>,
    credentials: Option<HeaderValue>,
}

impl Identity {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = request::identity(&self.method, self.params.as_deref());
        if let Some(credentials) = &self.credentials {
            bytes.extend_from_slice(credentials.as_bytes());
        }
        bytes
    }
}

fn status(speaks_http: bool, is_complete: bool, code: ErrorCode) -> StatusCode {
    match code {
        _ if !speaks_http => StatusCode::OK,
        ErrorCode::UNSUPPORTED_PROTOCOL_VERSION
        | ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY
        | ErrorCode::HEADER_MISMATCH => StatusCode::BAD_REQUEST,
        ErrorCode::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        ErrorCode::INVALID_PARAMS if !is_complete => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// What a caller learns of a panic: that it was not its fault. The panic hook has logged where and why.
fn defect() -> ErrorData {
    let id = uuid::Uuid::new_v4();
    tracing::error!(%id, "a handler panicked");
    let what = format!("the server failed inside; its log has it under {id}");
    ErrorData::internal_error(what, None)
}

impl Reply {
    fn result(id: RequestId, result: ServerResult) -> Self {
        Self {
            status: StatusCode::OK,
            body: encode(&ServerJsonRpcMessage::response(result, id)),
        }
    }

    pub(crate) fn error(status: StatusCode, id: Option<RequestId>, error: ErrorData) -> Self {
        let body = match id {
            Some(id) => encode(&ServerJsonRpcMessage::error(error, Some(id))),
            // Its id is unknown, which JSON-RPC 2.0 writes as null.
            None => encode(&serde_json::json!({"jsonrpc": "2.0", "id": null, "error": error})),
        };
        Self { status, body }
    }
}
