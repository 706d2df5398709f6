//! `POST /mcp` and `POST /message`: the same stateless service.
//!
//! rmcp's streamable HTTP service does the protocol. Before it, the shape of the message is checked here, so that every
//! malformed one is answered with a JSON-RPC error (JSON-RPC 2.0 §5.1) instead of plain text; after it, what is still
//! plain text becomes a JSON-RPC error too. `Accept` need not be right: one request has one JSON answer.

mod body;
mod called_tool;
mod message;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::access::gate::{Peer, Principal, Refusal};
use crate::config::ServerConfig;
use crate::handler::Handler;
use body::BadBody;
use called_tool::called_tool;

/// Largest body of an answer that is no JSON and is turned into an error, in bytes.
const TEXT_MAX: usize = 4 * 1024;

#[derive(Clone)]
struct Service {
    rmcp: StreamableHttpService<Handler, NeverSessionManager>,
    access: Access,
    body_max: usize,
}

/// The two routes. `cancel` ends calls that are still under way after the drain.
pub(crate) fn router(
    handler: Handler,
    config: &ServerConfig,
    access: Access,
    cancel: CancellationToken,
) -> Router {
    let any = |list: &[String]| list.iter().any(|entry| entry == "*");
    let mut settings = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(config.body_max)
        .with_cancellation_token(cancel)
        .with_allowed_hosts(config.allowed_hosts.clone())
        .with_allowed_origins(config.allowed_origins.clone())
        .enforce_origin_validation();
    if any(&config.allowed_hosts) {
        settings = settings.disable_allowed_hosts();
    }
    if any(&config.allowed_origins) {
        settings = settings.disable_allowed_origins();
    }
    let rmcp = StreamableHttpService::new(
        move || Ok(handler.clone()),
        Arc::new(NeverSessionManager::default()),
        settings,
    );
    let service = Service {
        rmcp,
        access,
        body_max: config.body_max,
    };
    Router::new()
        .route("/mcp", post(mcp))
        .route("/message", post(message))
        .with_state(service)
}

async fn mcp(State(service): State<Service>, request: Request) -> Response {
    answer(service, request).await
}

async fn message(
    State(service): State<Service>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let has_session = query
        .unwrap_or_default()
        .split('&')
        .any(|pair| pair.split('=').next() == Some("sessionId"));
    if has_session {
        let what =
            "no such session: this server keeps none. Leave `sessionId` out, or use POST /mcp";
        return error(
            StatusCode::NOT_FOUND,
            &Value::Null,
            message::INVALID_REQUEST,
            what,
        );
    }
    answer(service, request).await
}

async fn answer(service: Service, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        let what = "`Content-Type` must be application/json";
        return error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &Value::Null,
            message::INVALID_REQUEST,
            what,
        );
    }
    let (body, _room) = match body::read(body, service.body_max, &service.access).await {
        Ok(read) => read,
        Err(BadBody::NoRoom) => {
            return service.refuse(Refusal::Overloaded, &parts, &Value::Null, None);
        }
        Err(bad) => {
            let status = match bad {
                BadBody::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                BadBody::TooSlow => StatusCode::REQUEST_TIMEOUT,
                BadBody::Broken | BadBody::NoRoom => StatusCode::BAD_REQUEST,
            };
            let what = bad.sentence(service.body_max);
            return error(status, &Value::Null, message::INVALID_REQUEST, &what);
        }
    };
    let id = match message::check(&body) {
        Ok(id) => id,
        Err(refusal) => {
            return error(
                StatusCode::BAD_REQUEST,
                &refusal.id,
                refusal.code,
                &refusal.what,
            );
        }
    };
    if let Some(Principal(caller)) = parts.extensions.get::<Principal>()
        && caller.is_limited()
        && let Some(tool) = called_tool(&body)
        && let Err(scope) = caller.may_call(&tool)
    {
        return service.refuse(Refusal::Forbidden(scope), &parts, &id, Some(&tool));
    }
    let both = HeaderValue::from_static("application/json, text/event-stream");
    parts.headers.insert(header::ACCEPT, both);
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let response = service
        .rmcp
        .handle(axum::http::Request::from_parts(parts, Body::from(body)))
        .await;
    explained(response.map(Body::new), &id).await
}

impl Service {
    fn refuse(&self, refusal: Refusal, parts: &Parts, id: &Value, tool: Option<&str>) -> Response {
        let caller = parts.extensions.get().map(|Principal(caller)| &**caller);
        let peer = parts.extensions.get().map(|Peer(peer)| *peer);
        self.access.refuse(refusal, caller, peer, tool);
        refusal.response(id)
    }
}

/// The response, with a plain-text error turned into a JSON-RPC one.
async fn explained(response: Response, id: &Value) -> Response {
    let status = response.status();
    if is_json(response.headers()) || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let code = if status.is_server_error() {
        message::INTERNAL_ERROR
    } else {
        message::INVALID_REQUEST
    };
    let text = axum::body::to_bytes(response.into_body(), TEXT_MAX)
        .await
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let what = match text.trim() {
        "" => status.canonical_reason().unwrap_or("refused"),
        text => text,
    };
    // rmcp says so of JSON that is no message of MCP, too; the media type has been checked before it.
    let status = match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::BAD_REQUEST,
        other => other,
    };
    error(status, id, code, what)
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// A JSON-RPC error as an HTTP response.
pub(crate) fn error(status: StatusCode, id: &Value, code: i64, what: &str) -> Response {
    let body = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": what}});
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, Bytes::from(body.to_string())).into_response()
}
