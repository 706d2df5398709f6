//! Event streams: of one call, and of a client that stays.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use rmcp::model::RequestId;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::call::{Call, Reply};
use super::held::Held;
use crate::access::gate::StreamPermit;
use crate::caller::outbox::{Outbox, event_of};
use crate::running::Listed;

/// A comment is sent after so long without a message, so that nobody between takes the connection for dead, and so that
/// the server learns that the client is.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// A call that has begun to speak before it has its answer.
pub(super) struct Speaking {
    pub(super) id: RequestId,
    pub(super) first: Option<Bytes>,
    pub(super) call: Option<Call>,
    pub(super) outbox: Arc<Outbox>,
    /// The answer, when it has come before all other messages are out.
    pub(super) reply: Option<Reply>,
    /// Until the answer is written.
    pub(super) held: Option<Held>,
    /// Where its client can cancel it.
    pub(super) listed: Option<Listed>,
    /// The drain is over.
    pub(super) ended: CancellationToken,
    pub(super) permit: StreamPermit,
    /// It is a subscription, which ends with its caller's key. Calls may come to their end.
    pub(super) lasts: bool,
}

/// Closes the outbox with the stream: whoever writes into it should know.
impl Drop for Speaking {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

impl Speaking {
    /// The stream of the call: its messages, then its answer.
    pub(super) fn respond(self) -> Response {
        events(stream::unfold(self, |mut speaking| async move {
            let event = speaking.next().await?;
            Some((Ok(event), speaking))
        }))
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.lasts && !self.permit.is_in_force() {
                return None;
            }
            if let Some(message) = self.first.take().or_else(|| self.outbox.try_next()) {
                return Some(message);
            }
            if let Some(reply) = self.reply.take() {
                let event = event_of(&reply.body);
                return Some(self.held.take()?.until_written(event));
            }
            let call = self.call.as_mut()?;
            tokio::select! {
                biased;
                message = self.outbox.next() => {
                    // Closed: nobody could read what comes.
                    return message;
                }
                reply = call => {
                    self.call = None;
                    self.reply = Some(reply);
                }
                () = given_up(&self.listed) => {
                    self.call = None;
                    self.reply = Some(super::given_up(self.id.clone()));
                }
                () = self.ended.cancelled() => {
                    self.call = None;
                    self.reply = Some(super::stopping(self.id.clone()));
                }
                () = sleep(KEEP_ALIVE) => return Some(COMMENT),
            }
        }
    }
}

/// Waits until the client of a call gives it up.
pub(super) async fn given_up(listed: &Option<Listed>) {
    match listed {
        Some(listed) => listed.cancelled().await,
        None => std::future::pending().await,
    }
}

/// The stream of a client that stays: `first`, then what comes into the outbox, until that is closed or the client's key is
/// no more. `held` lives as long as the stream does.
pub(super) fn lasting<H: Send + 'static>(
    first: Bytes,
    outbox: Arc<Outbox>,
    permit: StreamPermit,
    held: H,
) -> Response {
    let start = (Some(first), outbox, permit, held);
    events(stream::unfold(start, |start| async move {
        let (first, outbox, permit, held) = start;
        let event = match first {
            Some(first) => first,
            None => tokio::select! {
                biased;
                message = outbox.next() => message?,
                () = sleep(KEEP_ALIVE) => COMMENT,
            },
        };
        let goes_on = permit.is_in_force();
        goes_on.then_some((Ok(event), (None, outbox, permit, held)))
    }))
}

fn events(
    events: impl stream::Stream<Item = Result<Bytes, Infallible>> + Send + 'static,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        // nginx would hold events back until its buffer is full.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (StatusCode::OK, headers, Body::from_stream(events)).into_response()
}
