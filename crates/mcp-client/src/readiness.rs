//! What a server says of itself, apart from any call.

use std::time::Duration;

use mcp_core::{Blame, ErrorCode, Failure};

use crate::client::{McpClient, too_late};
use crate::http_failure::http_failure;
use crate::json_rpc::{Params, Request};

/// Longest time for the answer to `GET /ready`.
const LIMIT: Duration = Duration::from_secs(2);
/// The same for a request of the protocol.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// Whether a server takes calls.
#[derive(Clone, Debug, PartialEq)]
pub enum Readiness {
    /// It takes calls.
    Ready,
    /// It can't be reached, or says that it takes none.
    NotReady(Failure),
    /// It has no `/ready`, so nothing is known.
    Unknown,
}

impl McpClient {
    /// Asks the server's `GET /ready`, at the root of its host, without key or headers. A success is
    /// [`Readiness::Ready`]; no connection, no answer within two seconds and every status from 500 on are
    /// [`Readiness::NotReady`]; any other status says that there is no such route.
    pub async fn readiness(&self) -> Readiness {
        let wire = &self.inner.wire;
        let mut url = wire.server.as_url().clone();
        url.set_path("/ready");
        url.set_query(None);
        match wire.http.get(url).timeout(LIMIT).send().await {
            Err(error) => Readiness::NotReady(http_failure(error, &wire.server)),
            Ok(answer) => match answer.status().as_u16() {
                200..=299 => Readiness::Ready,
                status @ 500.. => Readiness::NotReady(Failure::new(
                    ErrorCode::from_http_status(status),
                    format!("{}/ready answers {status}", wire.server.origin()),
                )),
                _ => Readiness::Unknown,
            },
        }
    }

    /// Whether the server takes a request other than a call: [`McpClient::readiness`] first and then, unless that says
    /// no, the first page of its tool list, asked for with key and headers as a call is. Tells a failure of one call
    /// from one that every request gets. An error that speaks of the request and not of the server is an answer too.
    pub async fn takes_requests(&self) -> Readiness {
        let readiness = self.readiness().await;
        if let Readiness::NotReady(_) = readiness {
            return readiness;
        }
        let request = Request::new("tools/list", Params::Page { cursor: None });
        let redaction = &self.inner.redaction;
        let asked = self.inner.ask(&request, redaction);
        let answered = tokio::time::timeout(REQUEST_LIMIT, asked).await;
        match answered.unwrap_or_else(|_| Err(too_late(REQUEST_LIMIT))) {
            Err(failure) if failure.code.blame() != Blame::Job => {
                Readiness::NotReady(redaction.failure(failure))
            }
            Ok(_) | Err(_) => Readiness::Ready,
        }
    }
}
