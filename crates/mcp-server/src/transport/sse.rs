//! HTTP+SSE of 2024-11-05: `GET /sse` opens a stream and names the address to post to; answers come on the stream. The
//! session's id names the replica that holds the stream, so that a POST finds it from any other.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use rmcp::ErrorData;
use rmcp::model::{InitializeRequestParams, ProtocolVersion};
use serde_json::value::RawValue;

use super::called_tool::called_tool;
use super::message::{self, Message};
use super::poster::Poster;
use super::{Held, Incoming, Known, Reply, Service, busy, error, receipt_response, stream, weight};
use crate::access::ApiKey;
use crate::access::gate::Principal;
use crate::access::load::Room;
use crate::relay::{self, Errand, Receipt};
use crate::running::Sender;
use crate::sessions::{Opener, Session};

/// The `sessionId` of a query.
pub(super) fn session_of(query: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // Ids of this server need no percent encoding.
        matches!(name, "sessionId" | "session_id").then(|| value.to_owned())
    })
}

/// `GET /sse`.
pub(super) fn open(service: &Service, request: Request) -> Response {
    let replica = &service.replica;
    let parts = request.into_parts().0;
    let Some(caller) = parts.extensions.get::<Principal>() else {
        return busy(None);
    };
    let permit = match service.access.stream(&caller.key) {
        Ok(permit) => permit,
        Err(refusal) => return service.refuse(refusal, &parts, None, None),
    };
    let opener = Opener {
        key: Arc::clone(&caller.key),
        peer: parts.extensions.get().copied(),
    };
    let Some(opened) = replica.sessions.open(opener, Arc::downgrade(replica)) else {
        // The server stops.
        return busy(None);
    };
    let first = format!(
        "event: endpoint\ndata: /message?sessionId={}\n\n",
        opened.id
    );
    let outbox = Arc::clone(&opened.session.outbox);
    stream::lasting(first.into(), outbox, permit, opened)
}

/// `POST /message?sessionId=…`: taken here, or brought to the replica that has the stream.
pub(super) async fn post(
    service: &Arc<Service>,
    session: &str,
    mut parts: Parts,
    body: &[u8],
    room: Room,
) -> Response {
    let mut place = None;
    match message::parse(body) {
        Err(malformed) => return super::refuse_malformed(service, &parts, malformed),
        Ok(Message::Answer { id, outcome }) => return super::pass_on(service, id, outcome).await,
        Ok(Message::Request { id, method, params }) => {
            // Its answer comes on a stream that is open already.
            match service.admit(&mut parts, &id, &method, params, false) {
                Ok(admitted) => place = admitted.place,
                Err(refused) => return *refused,
            }
        }
        Ok(Message::Notification { .. }) => {}
    }
    let Some(by) = Poster::of(&parts) else {
        let what = "a header of the call is no text";
        let refused = ErrorData::invalid_request(what, None);
        service.refused("invalid-request", &Sender::of(&parts), None);
        return error(StatusCode::BAD_REQUEST, None, refused);
    };
    let replica = &service.replica;
    let receipt = if relay::owner(session) == Some(&*replica.id) {
        let key = Sender::of(&parts).key;
        let held = place.map(|place| Held::new(Some(place), room));
        accept(service, session, body, &by, key, held)
    } else {
        let errand = Errand::Post {
            session: session.to_owned(),
            by,
            // It has been read as JSON, so it is UTF-8.
            body: String::from_utf8_lossy(body).into_owned(),
        };
        replica.relay.send(&replica.id, errand).await
    };
    let why = match receipt {
        Receipt::Taken => None,
        Receipt::Busy => Some("overloaded"),
        Receipt::Unknown => Some("unknown-session"),
        Receipt::Unreachable => Some("unreachable-session"),
    };
    if let Some(why) = why {
        service.refused(why, &Sender::of(&parts), None);
    }
    receipt_response(receipt, unknown(service))
}

fn unknown(service: &Service) -> &'static str {
    match service.replica.relay {
        relay::Relay::None => {
            "no such session at this replica, and without REDIS_URL it can't reach others: use POST /mcp, which needs none"
        }
        relay::Relay::Redis(_) => {
            "no such session: its stream has ended. Open a new one with GET /sse"
        }
    }
}

/// A message of a session whose stream is here. One that came from another replica brings no key, only the name of it, and
/// holds nothing yet; what needs nothing holds nothing.
pub(crate) fn accept(
    service: &Arc<Service>,
    session: &str,
    body: &[u8],
    by: &Poster,
    key: Option<Arc<ApiKey>>,
    held: Option<Held>,
) -> Receipt {
    let found = service.replica.sessions.get(session);
    // To who has another key there is no such session.
    let Some(session) = found.filter(|session| by.owns(&session.opener.key)) else {
        return Receipt::Unknown;
    };
    match message::parse(body) {
        Ok(Message::Request { id, method, params }) => {
            // A key that another replica has taken up is here in a moment.
            let Some(key) = key.or_else(|| by.key(&service.access, &session.opener.key)) else {
                return Receipt::Busy;
            };
            let held = held.or_else(|| Held::take(service, &key, weight::of(body)).ok());
            let Some(held) = held else {
                return Receipt::Busy;
            };
            let place = held.place().cloned();
            let parts = by.parts(Principal { key, place }, session.opener.peer);
            let known = known(&session, &method, params);
            let incoming = Incoming {
                id,
                method: &method,
                params,
                parts,
                outbox: Some(Arc::clone(&session.outbox)),
                known: Some(&known),
            };
            run(service, &session, incoming, held)
        }
        Ok(Message::Notification { method, params }) => {
            if let Some(id) = message::given_up(&method, params) {
                session.cancel(&id);
            }
            Receipt::Taken
        }
        // Whoever took the POST has read it already, so it is neither malformed nor an answer.
        Ok(Message::Answer { .. }) | Err(_) => Receipt::Unknown,
    }
}

fn known(session: &Session, method: &str, params: Option<&RawValue>) -> Known {
    if method == "initialize"
        && let Some(known) = introduction(params)
    {
        session.learn(known);
    }
    session.known()
}

fn run(
    service: &Arc<Service>,
    session: &Arc<Session>,
    incoming: Incoming<'_>,
    held: Held,
) -> Receipt {
    let id = incoming.id.clone();
    let sender = Sender::of(&incoming.parts);
    let tool = called_tool(incoming.method, incoming.params);
    let begun = service.begin(incoming).map_err(|refused| {
        service.refused(refused.why(), &sender, tool.as_deref());
        Reply::error(refused.0, Some(id.clone()), refused.1)
    });
    let call = async move {
        match begun {
            Ok(call) => call.await,
            Err(reply) => reply,
        }
    };
    session.run(id, call, held, Arc::clone(&service.replica))
}

/// What `initialize` says of the client, with the version that it will be answered with.
fn introduction(params: Option<&RawValue>) -> Option<Known> {
    let asked: InitializeRequestParams = serde_json::from_str(params?.get()).ok()?;
    let version = asked.protocol_version;
    let is_known = ProtocolVersion::KNOWN_VERSIONS.contains(&version) && version.has_initialize();
    Some(Known {
        version: if is_known {
            version
        } else {
            ProtocolVersion::LATEST_WITH_INITIALIZE
        },
        capabilities: serde_json::to_value(asked.capabilities).unwrap_or_default(),
    })
}
