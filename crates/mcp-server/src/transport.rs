//! The routes of MCP: `POST /mcp` and `POST /message` for the eras without sessions, `GET /sse` with
//! `POST /message?sessionId=…` for 2024-11-05; and `GET /artifacts/…`, which results refer to.
//!
//! A thin transport over rmcp's model and handler types. It runs a call on the connection's own task: no spawning, no
//! channel, no second pass over the message. A call that has nothing to say but its answer is answered with JSON; one that
//! speaks before that, to a client that takes event streams, turns its answer into one. Every refusal is a JSON-RPC error
//! (JSON-RPC 2.0 §5.1).

mod admission;
mod body;
mod call;
mod called_tool;
mod headers;
mod held;
pub(crate) mod message;
mod methods;
mod origin;
mod peer;
mod poster;
mod request;
pub(crate) mod sse;
mod stream;
mod weight;

use std::borrow::Cow;
use std::sync::Arc;
use std::task::Poll;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mcp_store::ArtifactLimits;
use rmcp::model::RequestId;
use rmcp::{ErrorData, ServerHandler};

use crate::access::gate::{PeerAddress, Principal, Refusal, StreamPermit};
use crate::access::load::Room;
use crate::access::{Access, ApiKey};
use crate::artifacts::{self, Artifacts};
use crate::caller::outbox::Outbox;
use crate::caller::pending::Outcome;
use crate::config::ServerConfig;
use crate::relay::{self, Errand, Receipt};
use crate::replica::Replica;
use crate::running::{Listed, Sender, Tag};
use admission::Admitted;
use body::BadBody;
pub(crate) use call::{Incoming, Known, Reply, Service};
pub(crate) use held::Held;
use message::Message;
pub(crate) use poster::Poster;

/// Seconds after which a caller may try again what was too much.
const RETRY_AFTER: &str = "1";

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Mcp,
    Message,
    Sse,
    Artifact,
}

impl Route {
    pub(crate) const ALL: [Self; 4] = [Self::Mcp, Self::Message, Self::Sse, Self::Artifact];

    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/mcp" => Some(Self::Mcp),
            "/message" => Some(Self::Message),
            "/sse" => Some(Self::Sse),
            _ => artifacts::route::name_of(path).map(|_| Self::Artifact),
        }
    }

    /// Its path, or the pattern of its paths.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Mcp => "/mcp",
            Self::Message => "/message",
            Self::Sse => "/sse",
            Self::Artifact => artifacts::route::ROUTE,
        }
    }

    /// The only method that it takes.
    pub(crate) fn method(self) -> Method {
        match self {
            Self::Mcp | Self::Message => Method::POST,
            Self::Sse | Self::Artifact => Method::GET,
        }
    }
}

/// The routes. Plain calls: layers and a router around them would be boxed and cloned anew for each request.
pub(crate) struct Routes {
    guard: origin::Guard,
    service: Arc<Service>,
    artifacts: Arc<Artifacts>,
}

impl Routes {
    /// The routes over `handler`.
    pub(crate) fn new<H: ServerHandler>(
        handler: H,
        config: &ServerConfig,
        access: Access,
        replica: Arc<Replica>,
        artifacts: Arc<Artifacts>,
    ) -> Self {
        let service = Arc::new(Service::new(handler, access, config.body_max, replica));
        relay::serve(Arc::clone(&service));
        Self {
            guard: origin::Guard::new(config),
            service,
            artifacts,
        }
    }

    /// Answers a request; `None` is a path that leads nowhere.
    pub(crate) async fn answer(&self, route: Option<Route>, request: Request) -> Response {
        // The guard is before the gate: it answers preflight requests, which carry no key, and lets pages read refusals.
        // An OPTIONS that is no preflight request is not allowed.
        let origin = match self.guard.check(&request) {
            Ok(origin) => origin,
            Err(stopped) => {
                if let Some(why) = stopped.why {
                    let peer = request.extensions().get().map(|PeerAddress(peer)| *peer);
                    self.service.access.refused(why, None, peer, None);
                }
                return *stopped.response;
            }
        };
        let response = self.behind_the_guard(route, request).await;
        match origin {
            Some(origin) => origin.may_read(response),
            None => response,
        }
    }

    async fn behind_the_guard(&self, route: Option<Route>, mut request: Request) -> Response {
        let service = &self.service;
        if let Err(refused) = service.access.let_in(&mut request) {
            return *refused;
        }
        match route {
            None => StatusCode::NOT_FOUND.into_response(),
            Some(route) if request.method() != route.method() => {
                let allow = [(header::ALLOW, route.method().to_string())];
                (StatusCode::METHOD_NOT_ALLOWED, allow).into_response()
            }
            Some(Route::Sse) => sse::open(service, request),
            Some(Route::Artifact) => {
                let parts = request.into_parts().0;
                Box::pin(artifact(service, &self.artifacts, &parts)).await
            }
            // Boxed, or each future around it would be moved with all of its size.
            Some(route @ (Route::Mcp | Route::Message)) => {
                Box::pin(posted(service, route, request)).await
            }
        }
    }
}

/// Whose limits a request counts against.
fn key_of<'a>(service: &'a Service, parts: &'a Parts) -> &'a Arc<ApiKey> {
    let caller = parts.extensions.get::<Principal>();
    caller.map_or(service.access.anonymous(), |caller| &caller.key)
}

/// An artifact, which takes a place and its room until it is read, as the answer of a call does.
async fn artifact(service: &Service, artifacts: &Artifacts, parts: &Parts) -> Response {
    let key = key_of(service, parts);
    let most = service.access.load().bytes_max();
    let largest = ArtifactLimits::default().each.min(most);
    let held = match Held::take(service, key, largest) {
        Ok(held) => held,
        Err(refusal) => return service.refuse(refusal, parts, None, None),
    };
    let hold = |bytes| held.until_written(bytes);
    artifacts::route::serve(artifacts, parts, hold).await
}

/// A message that was posted.
async fn posted(service: &Arc<Service>, route: Route, request: Request) -> Response {
    let (parts, body, room) = match read(service, request).await {
        Ok(read) => read,
        Err(refused) => return refused,
    };
    let session = match route {
        Route::Message => parts.uri.query().and_then(sse::session_of),
        Route::Mcp | Route::Sse | Route::Artifact => None,
    };
    match session {
        Some(session) => Box::pin(sse::post(service, &session, parts, &body, room)).await,
        None => answer(service, parts, &body, room).await,
    }
}

/// The whole request, if it is JSON, and within its bounds; with the room that its body takes until it is answered.
async fn read(service: &Service, request: Request) -> Result<(Parts, Bytes, Room), Response> {
    let (parts, body) = request.into_parts();
    let refuse = |why, status, what: Cow<'static, str>| {
        service.refused(why, &Sender::of(&parts), None);
        let error = ErrorData::invalid_request(what, None);
        self::error(status, None, error)
    };
    if !is_json(&parts.headers) {
        let what = "`Content-Type` must be application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(refuse("wrong-content-type", status, what.into()));
    }
    let key = key_of(service, &parts);
    let read = body::read(body, service.body_max, &service.access, key).await;
    let (why, status, bad) = match read {
        Ok((body, room)) => return Ok((parts, body, room)),
        Err(BadBody::NoRoom) => {
            return Err(service.refuse(Refusal::Overloaded, &parts, None, None));
        }
        Err(BadBody::NoShare) => {
            return Err(service.refuse(Refusal::TooManyAtOnce, &parts, None, None));
        }
        Err(bad @ (BadBody::TooLarge | BadBody::TooHeavy)) => {
            ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, bad)
        }
        Err(bad @ BadBody::TooSlow) => ("body-too-slow", StatusCode::REQUEST_TIMEOUT, bad),
        Err(bad @ BadBody::Broken) => ("body-broken", StatusCode::BAD_REQUEST, bad),
    };
    Err(refuse(why, status, bad.sentence(service.body_max).into()))
}

async fn answer(service: &Arc<Service>, mut parts: Parts, body: &[u8], room: Room) -> Response {
    match message::parse(body) {
        Ok(Message::Request { id, method, params }) => {
            let outbox = takes_events(&parts.headers).then(Arc::<Outbox>::default);
            let admitted = service.admit(&mut parts, &id, &method, params, outbox.is_some());
            let Admitted { place, stream } = match admitted {
                Ok(admitted) => admitted,
                Err(refused) => return *refused,
            };
            let held = Held::new(place, room);
            let sender = Sender::of(&parts);
            let incoming = Incoming {
                id: id.clone(),
                method: &method,
                params,
                parts,
                outbox: outbox.clone(),
                known: None,
            };
            match service.begin(incoming) {
                Ok(call) => run(service, id, sender, call, outbox, held, stream).await,
                Err(refused) => {
                    let tool = called_tool::called_tool(&method, params);
                    service.refused(refused.why(), &sender, tool.as_deref());
                    error(refused.0, Some(id), refused.1)
                }
            }
        }
        Ok(Message::Notification { method, params }) => {
            // Nothing else of a caller outlives its request.
            if let Some(id) = message::given_up(&method, params) {
                Box::pin(withdraw(service, &Sender::of(&parts).tag(&id))).await;
            }
            StatusCode::ACCEPTED.into_response()
        }
        Ok(Message::Answer { id, outcome }) => Box::pin(pass_on(service, id, outcome)).await,
        Err(malformed) => refuse_malformed(service, &parts, malformed),
    }
}

fn refuse_malformed(service: &Service, parts: &Parts, malformed: message::Malformed) -> Response {
    service.refused("malformed", &Sender::of(parts), None);
    error(StatusCode::BAD_REQUEST, malformed.id, *malformed.error)
}

/// Runs a call until it has its answer, or something to say before that.
async fn run(
    service: &Service,
    id: RequestId,
    sender: Sender,
    mut call: call::Call,
    outbox: Option<Arc<Outbox>>,
    held: Held,
    permit: Option<StreamPermit>,
) -> Response {
    let replica = &service.replica;
    let said = || outbox.as_ref().and_then(|outbox| outbox.try_next());
    // Most calls have their answer at once, and can't be cancelled any more.
    let (first, reply, listed) = match futures::poll!(&mut call) {
        Poll::Ready(reply) => (said(), Some(reply), None),
        Poll::Pending => {
            let listed = Listed::new(replica, sender.tag(&id));
            let says = async {
                match &outbox {
                    Some(outbox) => outbox.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                reply = &mut call => (said(), Some(reply), Some(listed)),
                first = says => (first, None, Some(listed)),
                () = replica.ended.cancelled() => return cancelled(id),
                () = listed.cancelled() => return respond(given_up(id), Some(held)),
            }
        }
    };
    let (Some(outbox), Some(first)) = (outbox, first) else {
        return match reply {
            Some(reply) => respond(reply, Some(held)),
            // It had something to say, to a stream that was closed before.
            None => cancelled(id),
        };
    };
    let lasts = permit.is_some();
    let key = sender.key.as_ref().unwrap_or(service.access.anonymous());
    if let Some(permit) = permit.or_else(|| service.access.stream(key).ok()) {
        let speaking = stream::Speaking {
            id,
            first: Some(first),
            call: reply.is_none().then_some(call),
            outbox,
            reply,
            held: Some(held),
            listed,
            ended: replica.ended.clone(),
            permit,
            lasts,
        };
        return speaking.respond();
    }
    // No stream is left: the answer comes without what was said before it, and what is asked meanwhile has nobody to
    // answer it.
    outbox.close();
    let reply = match reply {
        Some(reply) => reply,
        None => tokio::select! {
            biased;
            reply = call => reply,
            () = replica.ended.cancelled() => return cancelled(id),
            () = stream::given_up(&listed) => given_up(id),
        },
    };
    respond(reply, Some(held))
}

/// Ends the one request that a client means by that tag, wherever it runs.
async fn withdraw(service: &Service, tag: &Tag) {
    let replica = &service.replica;
    let (here, find) = (
        replica.running.count(tag),
        Errand::Find { tag: tag.clone() },
    );
    let Some(others) = replica.relay.ask_others(&replica.id, find).await else {
        tracing::debug!("not all replicas answer: a call is not cancelled, it might be another's");
        return;
    };
    let others: Vec<_> = others
        .into_iter()
        .filter(|(_, receipt)| *receipt != Receipt::Unknown)
        .collect();
    match (here, others.as_slice()) {
        (1, []) => {
            replica.running.cancel(tag);
        }
        (0, [(other, Receipt::Taken)]) => {
            let withdraw = Errand::Withdraw { tag: tag.clone() };
            replica.relay.send_to(&replica.id, other, withdraw).await;
        }
        _ => {}
    }
}

/// Brings an answer to who asked: here, or at the replica that its id names.
async fn pass_on(service: &Service, id: String, outcome: Outcome) -> Response {
    let replica = &service.replica;
    let receipt = if relay::owner(&id) == Some(&*replica.id) {
        Receipt::of(replica.pending.answer(&id, outcome))
    } else {
        replica
            .relay
            .send(&replica.id, Errand::Answer { id, outcome })
            .await
    };
    receipt_response(receipt, "nobody waits for this answer")
}

/// What the client learns of a message that was brought to its place.
fn receipt_response(receipt: Receipt, unknown: &'static str) -> Response {
    let (status, what) = match receipt {
        Receipt::Taken => return StatusCode::ACCEPTED.into_response(),
        Receipt::Unknown => (StatusCode::NOT_FOUND, unknown),
        Receipt::Busy => return busy(None),
        Receipt::Unreachable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the replica that this is for can't be reached now",
        ),
    };
    let response = error(status, None, ErrorData::invalid_request(what, None));
    match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            ([(header::RETRY_AFTER, RETRY_AFTER)], response).into_response()
        }
        _ => response,
    }
}

fn busy(id: Option<RequestId>) -> Response {
    let full = ErrorData::internal_error("too many streams or calls are open", None);
    let response = error(StatusCode::SERVICE_UNAVAILABLE, id, full);
    ([(header::RETRY_AFTER, RETRY_AFTER)], response).into_response()
}

/// What a call that its client has given up is answered, so that its request comes to an end.
fn given_up(id: RequestId) -> Reply {
    let what = ErrorData::internal_error("the call was cancelled by its client", None);
    Reply::error(StatusCode::OK, Some(id), what)
}

/// What a call that outlasts the drain is answered.
pub(crate) fn stopping(id: RequestId) -> Reply {
    let what = ErrorData::internal_error("the server is stopping: the call was cancelled", None);
    Reply::error(StatusCode::INTERNAL_SERVER_ERROR, Some(id), what)
}

fn cancelled(id: RequestId) -> Response {
    respond(stopping(id), None)
}

/// A JSON-RPC error as an HTTP response.
pub(crate) fn error(status: StatusCode, id: Option<RequestId>, error: ErrorData) -> Response {
    respond(Reply::error(status, id, error), None)
}

fn respond(Reply { status, body }: Reply, held: Option<Held>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let body = match held {
        Some(held) => held.until_written(body),
        None => body.into(),
    };
    (status, json, body).into_response()
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn takes_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|range| range.trim().eq_ignore_ascii_case("text/event-stream"))
}
