//! Why a call of 2026-07-28 ends before it has a result, and what its client must be able to do about it.

#![expect(
    deprecated,
    reason = "what is deprecated since 2026-07-28; clients of the older eras have it"
)]

use rmcp::model::{
    ClientCapabilities, CreateMessageResult, CreateTaskResult, ElicitRequestParams, ElicitResult,
    ElicitationCapability, InputRequest, InputRequests, ListRootsResult, UrlElicitationCapability,
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

/// The capability that answers such a request: its name, with that of its part, and as a client declares it.
pub(crate) fn wanted(request: &InputRequest) -> (&'static str, ClientCapabilities) {
    let capabilities = ClientCapabilities::builder();
    match request {
        InputRequest::Elicitation(asked) => {
            let mut capabilities = capabilities.enable_elicitation().build();
            match asked.params {
                ElicitRequestParams::UrlElicitationParams { .. } => {
                    let url =
                        ElicitationCapability::new().with_url(UrlElicitationCapability::new());
                    capabilities.elicitation = Some(url);
                    ("elicitation.url", capabilities)
                }
                _ => ("elicitation", capabilities),
            }
        }
        InputRequest::CreateMessage(asked) => {
            let capabilities = capabilities.enable_sampling();
            match asked.params.tools.is_some() || asked.params.tool_choice.is_some() {
                true => {
                    let capabilities = capabilities.enable_sampling_tools();
                    ("sampling.tools", capabilities.build())
                }
                false => ("sampling", capabilities.build()),
            }
        }
        // Roots, and what a later version of the protocol may add.
        _ => ("roots", capabilities.enable_roots().build()),
    }
}

/// Whether a client that declares these capabilities has the one of that name.
pub(crate) fn declares(capabilities: &Value, wanted: &str) -> bool {
    let (name, part) = wanted.split_once('.').unwrap_or((wanted, ""));
    let Some(declared) = capabilities.get(name) else {
        return false;
    };
    match (name, part) {
        // An empty one means forms: it is older than its parts (SEP-1036).
        ("elicitation", "") => declared.get("form").is_some() || declared.get("url").is_none(),
        (_, "") => true,
        (_, part) => declared.get(part).is_some(),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::declares;

    #[test]
    fn a_part_of_a_capability_is_not_the_whole_of_it() {
        for (capabilities, wanted, declared) in [
            (json!({"elicitation": {}}), "elicitation", true),
            (json!({"elicitation": {}}), "elicitation.url", false),
            (json!({"elicitation": {"url": {}}}), "elicitation.url", true),
            (json!({"elicitation": {"url": {}}}), "elicitation", false),
            (
                json!({"elicitation": {"url": {}, "form": {}}}),
                "elicitation",
                true,
            ),
            (json!({"sampling": {}}), "sampling", true),
            (json!({"sampling": {}}), "sampling.tools", false),
            (json!({"sampling": {"tools": {}}}), "sampling.tools", true),
            (json!({}), "roots", false),
        ] {
            assert_eq!(
                declares(&capabilities, wanted),
                declared,
                "{capabilities} {wanted}"
            );
        }
    }
}
