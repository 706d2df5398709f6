//! What a server says of itself, apart from any call.

use std::time::Duration;

use mcp_core::{ErrorCode, Failure};

use crate::client::McpClient;
use crate::http_failure::http_failure;

/// Longest time for the answer.
const LIMIT: Duration = Duration::from_secs(2);

/// The answer to `GET /ready`.
#[derive(Clone, Debug, PartialEq)]
pub enum Readiness {
    /// It takes calls.
    Ready,
    /// It can't be reached, or says that it takes none.
    NotReady(Failure),
    /// It has no such route, so nothing is known.
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
}
