//! Why a call of 2026-07-28 ends before it has a result, and what its client must be able to do about it.

#![expect(
    deprecated,
    reason = "what is deprecated since 2026-07-28; clients of the older eras have it"
)]

use rmcp::model::{
    ClientCapabilities, CreateMessageResult, CreateTaskResult, ElicitResult, InputRequest,
    InputRequests, ListRootsResult,
};
use serde::Deserialize as _;
use serde_json::Value;

/// Why a call has no result yet.
#[derive(Debug)]
pub(crate) enum Suspension {
    /// It needs these answers.
    Input(InputRequests),
    /// It needs what the caller has not declared.
    Missing(Box<ClientCapabilities>),
    /// It goes on as a task.
    Task(Box<CreateTaskResult>),
}

impl Suspension {
    /// Its name in the audit log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Input(_) => "input-required",
            Self::Missing(_) => "missing-capability",
            Self::Task(_) => "task",
        }
    }
}

/// The capability that answers such a request: its name, and as a client declares it.
pub(crate) fn wanted(request: &InputRequest) -> (&'static str, ClientCapabilities) {
    let capabilities = ClientCapabilities::builder();
    match request {
        InputRequest::Elicitation(_) => ("elicitation", capabilities.enable_elicitation().build()),
        InputRequest::CreateMessage(_) => ("sampling", capabilities.enable_sampling().build()),
        // Roots, and what a later version of the protocol may add.
        _ => ("roots", capabilities.enable_roots().build()),
    }
}

/// Whether `answer` is an answer to `request` at all.
pub(crate) fn fits(request: &InputRequest, answer: &Value) -> bool {
    match request {
        InputRequest::Elicitation(_) => ElicitResult::deserialize(answer).is_ok(),
        InputRequest::CreateMessage(_) => CreateMessageResult::deserialize(answer).is_ok(),
        _ => ListRootsResult::deserialize(answer).is_ok(),
    }
}
