//! Reading an answer: a refusal, one JSON message, or an event stream that is taken up again where it breaks off.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use mcp_core::{ErrorCode, Failure, text::bounded};
use reqwest::Response;
use serde_json::Value;

use super::{Answer, Miss, Wire};
use crate::http_failure::http_failure;
use crate::json_rpc::{Incoming, RpcError, reply_to};
use crate::redaction::Redaction;
use crate::refusal::{EXCERPT_MAX, Refusal};
use crate::retry_after::retry_after;
use crate::session::Session;
use crate::sse::{Event, EventParser};

/// Most bytes read of the body of a refusal.
const REFUSAL_MAX: usize = 64 * 1024;
/// Most events read for one answer.
const EVENTS_MAX: usize = 100_000;
/// Most requests of a server that are answered during one call.
const REPLIES_MAX: usize = 100;
/// How often one stream is taken up again.
const RESUMES_MAX: usize = 1_000;
/// The wait before taking up a stream: what the server asks for up to the cap, or the default.
const RESUME_WAIT: Duration = Duration::from_secs(1);
const RESUME_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a stream may take to end after its answer, so that its connection can be used again.
const LINGER: Duration = Duration::from_millis(10);

impl Wire {
    /// Reads the answer to request `id`. With a `session` the server may send requests, and break off its stream to
    /// have it taken up later.
    pub(super) async fn read_answer(
        &self,
        response: Response,
        id: u64,
        session: Option<&Session>,
        redaction: &Redaction,
    ) -> Result<Answer, Miss> {
        if !response.status().is_success() {
            let refusal = Box::pin(self.read_refusal(response, id, redaction)).await;
            return Err(Miss::Refused(refusal));
        }
        let headers = response.headers().clone();
        let mut budget = Budget::new(self.answer_max);
        let incoming = if is_event_stream(&headers) {
            Box::pin(self.read_stream(response, id, session, &mut budget)).await?
        } else {
            self.read_json(response, id, &mut budget, redaction).await?
        };
        match incoming {
            Incoming::Result(result) => Ok(Answer {
                result,
                headers,
                bytes: budget.bytes,
            }),
            Incoming::Error(rpc) => Err(Miss::Refused(refusal_in_body(rpc, redaction))),
            Incoming::Request { .. } | Incoming::Other => Err(Miss::Failed(invalid(
                "it is not the response to the request",
            ))),
        }
    }

    pub(crate) async fn read_refusal(
        &self,
        mut response: Response,
        id: u64,
        redaction: &Redaction,
    ) -> Refusal {
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers(), self.clock.now().into());
        let location = response.headers().get(http::header::LOCATION).cloned();
        let mut body = Vec::new();
        // A refusal whose body breaks off is still that refusal.
        while body.len() < REFUSAL_MAX
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&body);
        let rpc = match serde_json::from_slice(&body).map(|message| Incoming::read(message, id)) {
            Ok(Ok(Incoming::Error(rpc))) => Some(rpc),
            _ => None,
        };
        let text = match (&rpc, &location) {
            (Some(rpc), _) => rpc.message.as_str(),
            (None, Some(location)) if response.status().is_redirection() => {
                // A query may hold a token.
                let to = location.to_str().unwrap_or_default();
                to.split(['?', '#']).next().unwrap_or_default()
            }
            (None, _) => text.trim(),
        };
        Refusal {
            status,
            text: bounded(&redaction.text(text), EXCERPT_MAX),
            rpc,
            retry_after,
        }
    }

    async fn read_json(
        &self,
        mut response: Response,
        id: u64,
        budget: &mut Budget,
        redaction: &Redaction,
    ) -> Result<Incoming, Failure> {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| http_failure(error, &self.server))?
        {
            budget.take(chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        if body.is_empty() {
            return Err(invalid(&format!("HTTP {status} without a body")));
        }
        let read = match serde_json::from_slice(&body) {
            Ok(message) => Incoming::read(message, id).map_err(str::to_owned),
            Err(error) => Err(error.to_string()),
        };
        read.map_err(|reason| {
            let start = &body[..body.len().min(REFUSAL_MAX)];
            let excerpt = redaction.text(&String::from_utf8_lossy(start));
            invalid(&format!(
                "{reason}; it begins {:?}",
                bounded(&excerpt, EXCERPT_MAX / 2)
            ))
        })
    }

    async fn read_stream(
        &self,
        mut response: Response,
        id: u64,
        session: Option<&Session>,
        budget: &mut Budget,
    ) -> Result<Incoming, Failure> {
        let mut parser = EventParser::default();
        for _ in 0..RESUMES_MAX {
            let broke_off = loop {
                match response.chunk().await {
                    Ok(Some(chunk)) => {
                        budget.take(chunk.len())?;
                        for event in parser.push(&chunk) {
                            budget.events += 1;
                            let answer = self.on_event(event, id, session, budget).await?;
                            if let Some(answer) = answer {
                                let _ = tokio::time::timeout(LINGER, response.chunk()).await;
                                return Ok(answer);
                            }
                        }
                    }
                    Ok(None) => {
                        let message = format!(
                            "the event stream of {} ended without the answer",
                            self.server.origin()
                        );
                        break Failure::new(ErrorCode::ConnectionLost, message);
                    }
                    Err(error) => break http_failure(error, &self.server),
                }
            };
            let (Some(session), Some(last_id)) = (session, parser.last_id.take()) else {
                return Err(broke_off);
            };
            let wait = parser.retry.unwrap_or(RESUME_WAIT).min(RESUME_WAIT_MAX);
            tokio::time::sleep(wait).await;
            response = self.open_stream(Some(session), Some(&last_id)).await?;
            if !response.status().is_success() || !is_event_stream(response.headers()) {
                return Err(broke_off);
            }
            parser = parser.resumed(last_id);
        }
        Err(invalid("its event stream broke off too often"))
    }

    /// The response to request `id`, if the event holds it. Requests are answered, so that the tool goes on: a server that sends
    /// some is one of the versions before, even if it took a modern request.
    async fn on_event(
        &self,
        event: Event,
        id: u64,
        session: Option<&Session>,
        budget: &mut Budget,
    ) -> Result<Option<Incoming>, Failure> {
        if budget.events > EVENTS_MAX {
            let message = format!("the answer has more than {EVENTS_MAX} events");
            return Err(Failure::new(ErrorCode::AnswerTooLarge, message));
        }
        for incoming in read_event(event, id)? {
            match (incoming, session) {
                (answer @ (Incoming::Result(_) | Incoming::Error(_)), _) => {
                    return Ok(Some(answer));
                }
                (Incoming::Request { id, method }, session) => {
                    budget.replies += 1;
                    if budget.replies > REPLIES_MAX {
                        return Err(invalid("it holds too many requests"));
                    }
                    let mut headers = HeaderMap::new();
                    if let Some(session) = session {
                        session.add_to(&mut headers);
                    }
                    let url = self.server.as_url().clone();
                    self.post(url, headers, reply_to(&id, &method)).await?;
                }
                (Incoming::Other, _) => {}
            }
        }
        Ok(None)
    }
}

/// The messages of an event: one, or a batch as 2025-03-26 allows it.
pub(crate) fn read_event(event: Event, id: u64) -> Result<Vec<Incoming>, Failure> {
    if !matches!(event.name.as_str(), "" | "message") || event.data.trim().is_empty() {
        return Ok(Vec::new());
    }
    let message: Value = serde_json::from_str(&event.data)
        .map_err(|error| invalid(&format!("an event is not JSON: {error}")))?;
    let messages = match message {
        Value::Array(messages) => messages,
        message => vec![message],
    };
    let read = messages
        .into_iter()
        .map(|message| Incoming::read(message, id));
    read.collect::<Result<_, _>>().map_err(invalid)
}

/// An error that came with a status of success.
pub(crate) fn refusal_in_body(mut rpc: RpcError, redaction: &Redaction) -> Refusal {
    rpc.message = redaction.text(&rpc.message);
    Refusal {
        status: 200,
        text: bounded(&rpc.message, EXCERPT_MAX),
        rpc: Some(rpc),
        retry_after: None,
    }
}

pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("text/event-stream")
    })
}

fn invalid(reason: &str) -> Failure {
    Failure::new(
        ErrorCode::InvalidAnswer,
        format!("the answer is no MCP message: {reason}"),
    )
}

/// What may be read for one answer.
pub(crate) struct Budget {
    max: usize,
    pub(crate) bytes: usize,
    events: usize,
    replies: usize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            bytes: 0,
            events: 0,
            replies: 0,
        }
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Failure> {
        self.bytes += bytes;
        match self.bytes > self.max {
            true => Err(Failure::new(
                ErrorCode::AnswerTooLarge,
                format!("the answer is larger than {} bytes", self.max),
            )),
            false => Ok(()),
        }
    }
}
