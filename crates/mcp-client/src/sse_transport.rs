//! The transport of 2024-11-05, for servers of `type: "sse"`: a GET opens an event stream, whose first event names the
//! endpoint for messages; the answers to what is posted there arrive on the stream.

use std::pin::pin;
use std::time::Duration;

use mcp_core::{ErrorCode, Failure, text::bounded};
use reqwest::Response;
use serde_json::{Map, Value};
use url::Url;

use http::HeaderMap;

use crate::client::{Inner, McpClient, too_late};
use crate::exchange::{Budget, Wire, is_event_stream, read_event, refusal_in_body};
use crate::handshake::{Handshake, read_initialize};
use crate::http_failure::http_failure;
use crate::json_rpc::{Incoming, Params, Request, reply_to};
use crate::redaction::Redaction;
use crate::sse::{Event, EventParser};
use crate::tool_list::ToolList;

/// Most requests of the server that are answered.
const REPLIES_MAX: usize = 100;

impl McpClient {
    /// Like [`McpClient::initialize`], over the HTTP+SSE transport of 2024-11-05.
    ///
    /// # Errors
    /// As there.
    pub async fn initialize_over_sse(&self, limit: Duration) -> Result<Handshake, Failure> {
        let asked = tokio::time::timeout(limit, self.inner.introduce_over_sse()).await;
        self.inner
            .third_party(asked.unwrap_or_else(|_| Err(too_late(limit))))
    }
}

impl Inner {
    async fn introduce_over_sse(&self) -> Result<Handshake, Failure> {
        let mut conversation = Conversation::open(&self.wire, &self.redaction).await?;
        let (_, mut handshake) = read_initialize(conversation.ask(&Request::initialize()).await?)?;
        let initialized = Request::new("notifications/initialized", Params::None {});
        conversation.send(initialized.legacy(None).1).await?;
        if handshake.capabilities.contains_key("tools") {
            let mut list = ToolList::default();
            let mut cursor: Option<String> = None;
            loop {
                let params = Params::Page {
                    cursor: cursor.as_deref(),
                };
                let page = conversation
                    .ask(&Request::new("tools/list", params))
                    .await?;
                cursor = list.add_page(page, false)?;
                if cursor.is_none() {
                    break;
                }
            }
            handshake.tools = list.tools;
        }
        Ok(handshake)
    }
}

/// An open stream and the endpoint that belongs to it.
struct Conversation<'a> {
    wire: &'a Wire,
    redaction: &'a Redaction,
    stream: Stream<'a>,
    endpoint: Url,
    replies: usize,
}

impl<'a> Conversation<'a> {
    async fn open(wire: &'a Wire, redaction: &'a Redaction) -> Result<Self, Failure> {
        let response = wire.open_stream(None, None).await?;
        if !response.status().is_success() {
            return Err(wire
                .read_refusal(response, 0, redaction)
                .await
                .into_failure());
        }
        if !is_event_stream(response.headers()) {
            return Err(invalid(
                "the server answered the GET with something else than an event stream",
            ));
        }
        let mut stream = Stream {
            wire,
            response,
            parser: EventParser::default(),
            ready: Vec::new().into_iter(),
            budget: Budget::new(wire.answer_max),
        };
        let first = stream.next().await?;
        if first.name != "endpoint" {
            return Err(invalid("the first event is not `endpoint`"));
        }
        let endpoint = endpoint(wire.server.as_url(), &first.data)?;
        Ok(Self {
            wire,
            redaction,
            stream,
            endpoint,
            replies: 0,
        })
    }

    async fn send(&self, body: Vec<u8>) -> Result<(), Failure> {
        post(self.wire, self.redaction, self.endpoint.clone(), body).await
    }

    /// Posts the request and reads the stream at the same time: a server may hold the POST until its answer is read.
    async fn ask(&mut self, request: &Request<'_>) -> Result<Map<String, Value>, Failure> {
        let id = self.wire.next_id();
        let (_, body) = request.legacy(Some(id));
        let mut sending = pin!(post(self.wire, self.redaction, self.endpoint.clone(), body));
        let mut sent = false;
        loop {
            let event = tokio::select! {
                done = &mut sending, if !sent => {
                    done?;
                    sent = true;
                    continue;
                }
                event = self.stream.next() => event?,
            };
            for incoming in read_event(event, id)? {
                match incoming {
                    Incoming::Result(result) => return Ok(result),
                    Incoming::Error(rpc) => {
                        return Err(refusal_in_body(rpc, self.redaction).into_failure());
                    }
                    Incoming::Request { id, method } => {
                        self.replies += 1;
                        if self.replies > REPLIES_MAX {
                            return Err(invalid("the server sends too many requests"));
                        }
                        post(
                            self.wire,
                            self.redaction,
                            self.endpoint.clone(),
                            reply_to(&id, &method),
                        )
                        .await?;
                    }
                    Incoming::Other => {}
                }
            }
        }
    }
}

async fn post(
    wire: &Wire,
    redaction: &Redaction,
    endpoint: Url,
    body: Vec<u8>,
) -> Result<(), Failure> {
    let response = wire.post(endpoint, HeaderMap::new(), body).await?;
    match response.status().is_success() {
        true => Ok(()),
        false => Err(wire
            .read_refusal(response, 0, redaction)
            .await
            .into_failure()),
    }
}

/// The events of a response, one at a time.
struct Stream<'a> {
    wire: &'a Wire,
    response: Response,
    parser: EventParser,
    ready: std::vec::IntoIter<Event>,
    budget: Budget,
}

impl Stream<'_> {
    /// Cancel safe: what was read is kept.
    async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(event) = self.ready.next() {
                return Ok(event);
            }
            let read = self.response.chunk().await;
            let Some(chunk) = read.map_err(|error| http_failure(error, &self.wire.server))? else {
                let message = format!("the event stream of {} ended", self.wire.server.origin());
                return Err(Failure::new(ErrorCode::ConnectionLost, message));
            };
            self.budget.take(chunk.len())?;
            self.ready = self.parser.push(&chunk).into_iter();
        }
    }
}

/// The endpoint that an event names. It must have the origin of the stream, or the key would go to someone else.
fn endpoint(stream: &Url, named: &str) -> Result<Url, Failure> {
    let endpoint = stream.join(named.trim());
    match endpoint {
        Ok(endpoint) if endpoint.origin() == stream.origin() => Ok(endpoint),
        Ok(endpoint) => {
            let theirs = bounded(&endpoint.origin().ascii_serialization(), 200);
            Err(invalid(&format!(
                "the endpoint is on another origin, {theirs}"
            )))
        }
        Err(error) => Err(invalid(&format!("the endpoint is no URL: {error}"))),
    }
}

fn invalid(reason: &str) -> Failure {
    Failure::new(
        ErrorCode::InvalidAnswer,
        format!("this is no HTTP+SSE server: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::endpoint;
    use url::Url;

    #[test]
    fn the_endpoint_stays_on_the_origin_of_the_stream() {
        let stream = Url::parse("https://h:8443/sse").unwrap();
        for (named, url) in [
            ("/message?sessionId=1", "https://h:8443/message?sessionId=1"),
            ("m", "https://h:8443/m"),
            ("https://h:8443/x", "https://h:8443/x"),
        ] {
            assert_eq!(endpoint(&stream, named).unwrap().as_str(), url);
        }
        for named in [
            "https://h/x",
            "http://h:8443/x",
            "//evil/x",
            "https://evil:8443/x",
            "file:///x",
        ] {
            assert!(endpoint(&stream, named).is_err(), "{named}");
        }
    }
}
