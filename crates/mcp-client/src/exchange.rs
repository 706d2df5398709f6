//! One request and its answer over HTTP, in either era: JSON or an event stream, bounded in bytes and events.

mod answer;

pub(crate) use answer::{Budget, is_event_stream, read_event, refusal_in_body};

use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_core::{Clock, Failure};
use reqwest::Response;
use serde_json::{Map, Value};
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::http_failure::http_failure;
use crate::json_rpc::Request;
use crate::redaction::Redaction;
use crate::refusal::Refusal;
use crate::server_url::ServerUrl;
use crate::session::Session;

/// Trace headers for what a span calls.
pub type Propagation = fn(&tracing::Span) -> Vec<(String, String)>;

/// The target of spans that are only for traces, in all of the product.
const SPANS: &str = "otel::span";
const BOTH_FORMS: &str = "application/json, text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Miss {
    /// The server refused; it may do better in another form.
    Refused(Refusal),
    /// Nothing more to try.
    Failed(Failure),
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Miss {
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Refused(refusal) => refusal.into_failure(),
            Self::Failed(failure) => failure,
        }
    }
}

/// The result of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) result: Map<String, Value>,
    /// The headers it came with.
    pub(crate) headers: HeaderMap,
    /// Bytes read for it.
    pub(crate) bytes: usize,
}

/// The form a request takes.
#[derive(Clone, Copy)]
pub(crate) enum Form<'a> {
    /// 2026-07-28, with headers that mirror arguments.
    Modern(&'a [(HeaderName, HeaderValue)]),
    /// The versions before; no session in the handshake itself.
    Legacy(Option<&'a Session>),
}

/// The connection pool to one server, and what goes with every request.
pub(crate) struct Wire {
    pub(crate) http: reqwest::Client,
    pub(crate) server: ServerUrl,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) headers: HeaderMap,
    pub(crate) answer_max: usize,
    pub(crate) clock: Clock,
    pub(crate) propagation: Propagation,
    pub(crate) ids: AtomicU64,
}

impl Wire {
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Sends `request` and waits for its answer.
    pub(crate) async fn ask(
        &self,
        request: &Request<'_>,
        form: Form<'_>,
        redaction: &Redaction,
    ) -> Result<Answer, Miss> {
        let id = self.next_id();
        let (headers, body) = match form {
            Form::Modern(mirrored) => {
                let (mut headers, body) = request.modern(id);
                headers.extend(mirrored.iter().cloned());
                (headers, body)
            }
            Form::Legacy(session) => {
                let (mut headers, body) = request.legacy(Some(id));
                if let Some(session) = session {
                    session.add_to(&mut headers);
                }
                (headers, body)
            }
        };
        let response = self
            .post(self.server.as_url().clone(), headers, body)
            .await?;
        let session = match form {
            Form::Legacy(session) => session,
            Form::Modern(_) => None,
        };
        self.read_answer(response, id, session, redaction).await
    }

    /// Sends a notification of the versions before. That a server does not take it is no failure.
    pub(crate) async fn notify(
        &self,
        method: &'static str,
        session: &Session,
    ) -> Result<(), Failure> {
        let request = Request::new(method, crate::json_rpc::Params::None {});
        let (mut headers, body) = request.legacy(None);
        session.add_to(&mut headers);
        let response = self
            .post(self.server.as_url().clone(), headers, body)
            .await?;
        if !response.status().is_success() {
            tracing::debug!(
                method,
                status = response.status().as_u16(),
                "the server refused a notification"
            );
        }
        Ok(())
    }

    /// Ends a session, as far as the server allows it.
    pub(crate) async fn end_session(&self, session: &Session) {
        if session.id.is_none() {
            return;
        }
        let mut headers = self.fixed_headers();
        session.add_to(&mut headers);
        let request = self
            .http
            .delete(self.server.as_url().clone())
            .headers(headers);
        if let Err(error) = request.send().await {
            tracing::debug!(error = %error.without_url(), "the session could not be ended");
        }
    }

    pub(crate) async fn post(
        &self,
        url: url::Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response, Failure> {
        let mut all = headers;
        self.add_fixed_headers(&mut all);
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        all.insert(ACCEPT, HeaderValue::from_static(BOTH_FORMS));
        let span = self.span(&url);
        for (name, value) in (self.propagation)(&span) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.try_into()) {
                all.insert(name, value);
            }
        }
        let request = self.http.post(url).headers(all).body(body).send();
        match request.instrument(span.clone()).await {
            Ok(response) => {
                let status = response.status().as_u16();
                span.record("http.response.status_code", i64::from(status));
                if status >= 400 {
                    span.record("error.type", status.to_string());
                    span.record("otel.status_code", "ERROR");
                }
                Ok(response)
            }
            Err(error) => {
                let failure = http_failure(error, &self.server);
                span.record("error.type", failure.code.as_str());
                span.record("otel.status_code", "ERROR");
                Err(failure)
            }
        }
    }

    /// The span of one request, by OpenTelemetry's semantic conventions for HTTP clients.
    fn span(&self, url: &url::Url) -> tracing::Span {
        tracing::info_span!(
            target: SPANS,
            "http",
            otel.name = "POST",
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = "POST",
            http.response.status_code = Empty,
            url.full = %self.server,
            server.address = url.host_str(),
            server.port = url.port_or_known_default().map(i64::from),
            error.type = Empty,
        )
    }

    /// Opens an event stream, from `last_event_id` on where one is given.
    pub(crate) async fn open_stream(
        &self,
        session: Option<&Session>,
        last_event_id: Option<&str>,
    ) -> Result<Response, Failure> {
        let mut headers = self.fixed_headers();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(session) = session {
            session.add_to(&mut headers);
        }
        if let Some(Ok(id)) = last_event_id.map(HeaderValue::try_from) {
            headers.insert(LAST_EVENT_ID, id);
        }
        let sent = self
            .http
            .get(self.server.as_url().clone())
            .headers(headers)
            .send()
            .await;
        sent.map_err(|error| http_failure(error, &self.server))
    }

    fn fixed_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        self.add_fixed_headers(&mut headers);
        headers
    }

    fn add_fixed_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
    }
}
