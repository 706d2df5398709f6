//! Whether a request may run now, and what it holds while it does.
//!
//! This is decided when its message has been read. Answers and notifications hold nothing, so whoever has all its places
//! taken can still answer what it is asked, and cancel what it called.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::response::Response;
use rmcp::model::RequestId;
use serde_json::value::RawValue;

use super::Service;
use super::called_tool::called_tool;
use crate::access::Scope;
use crate::access::gate::{PeerAddress, Place, Principal, Refusal, StreamPermit};
use crate::running::Sender;

/// What a request holds until it is answered.
#[derive(Debug, PartialEq, Eq)]
enum Holds {
    /// A place in the server and of its key.
    Place,
    /// One of the server's streams.
    Stream,
    Nothing,
}

impl Holds {
    fn of(method: &str, takes_events: bool) -> Self {
        match method {
            // It lasts for as long as its client likes, and costs what a stream costs. Without one it ends at once.
            "subscriptions/listen" if takes_events => Self::Stream,
            // How a caller looks at, answers and cancels what has its place already.
            "tasks/get" | "tasks/update" | "tasks/cancel" => Self::Nothing,
            _ => Self::Place,
        }
    }
}

/// What a request was given.
#[derive(Default)]
pub(super) struct Admitted {
    pub(super) place: Option<Arc<Place>>,
    pub(super) stream: Option<StreamPermit>,
}

impl Service {
    /// Lets a request in. Its `parts` keep its place, too, for what goes on after its answer.
    ///
    /// # Errors
    /// The answer to one that may not run, or not now.
    pub(super) fn admit(
        &self,
        parts: &mut Parts,
        id: &RequestId,
        method: &str,
        params: Option<&RawValue>,
        takes_events: bool,
    ) -> Result<Admitted, Box<Response>> {
        let Some(caller) = parts.extensions.get_mut::<Principal>() else {
            return Ok(Admitted::default());
        };
        let refusal = match (
            forbidden(caller, method, params),
            Holds::of(method, takes_events),
        ) {
            (Some(scope), _) => Refusal::Forbidden(scope),
            (None, Holds::Nothing) => return Ok(Admitted::default()),
            (None, Holds::Stream) => match self.access.stream(&caller.key) {
                Ok(stream) => {
                    return Ok(Admitted {
                        stream: Some(stream),
                        ..Admitted::default()
                    });
                }
                Err(refusal) => refusal,
            },
            (None, Holds::Place) => match self.access.place(&caller.key) {
                Ok(place) => {
                    caller.place = Some(Arc::clone(&place));
                    return Ok(Admitted {
                        place: Some(place),
                        ..Admitted::default()
                    });
                }
                Err(refusal) => refusal,
            },
        };
        let tool = called_tool(method, params);
        let refused = self.refuse(refusal, parts, Some(id.clone()), tool.as_deref());
        Err(refused.into())
    }

    /// Counts and writes down a refusal, and answers it.
    pub(super) fn refuse(
        &self,
        refusal: Refusal,
        parts: &Parts,
        id: Option<RequestId>,
        tool: Option<&str>,
    ) -> Response {
        self.refused(refusal.name(), &Sender::of(parts), tool);
        refusal.response(id)
    }

    /// Counts and writes down what is answered elsewhere.
    pub(super) fn refused(&self, why: &'static str, sender: &Sender, tool: Option<&str>) {
        let peer = sender.peer.map(|PeerAddress(peer)| peer);
        self.access.refused(why, sender.key.as_deref(), peer, tool);
    }
}

/// The scope that the caller's key lacks for the tool that it calls.
fn forbidden(caller: &Principal, method: &str, params: Option<&RawValue>) -> Option<Scope> {
    if !caller.key.is_limited() {
        return None;
    }
    let tool = called_tool(method, params)?;
    caller.key.may_call(&tool).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_hold_a_place_subscriptions_a_stream_and_what_is_about_a_task_nothing() {
        for (method, takes_events, holds) in [
            ("tools/call", true, Holds::Place),
            ("ping", false, Holds::Place),
            ("subscriptions/listen", true, Holds::Stream),
            ("subscriptions/listen", false, Holds::Place),
            ("tasks/get", true, Holds::Nothing),
            ("tasks/update", true, Holds::Nothing),
            ("tasks/cancel", true, Holds::Nothing),
        ] {
            assert_eq!(Holds::of(method, takes_events), holds, "{method}");
        }
    }
}
