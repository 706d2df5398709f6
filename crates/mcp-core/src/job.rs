//! Job types, and the plan of tool calls that a job stands for.
//!
//! To add a job type: a variant of [`JobType`] with its name, and an arm in [`plan`].

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::envelope::JobEnvelope;
use crate::error_code::ErrorCode;
use crate::failure::Failure;
use crate::servers_config::McpServersConfig;
use crate::text::{bounded, shape_error};
use crate::tool::{self, ServerInitializeArgs};

/// The kinds of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobType {
    /// Start or reach each server of a [`McpServersConfig`] and report its tools.
    ServerInit,
    /// Generate an SVG.
    SvgGenerate,
    /// Publish a server to the registry.
    ServerPublish,
    /// Call any tool: payload `{tool, arguments}`.
    ToolCall,
}

impl JobType {
    /// All types.
    pub const ALL: [Self; 4] = [
        Self::ServerInit,
        Self::SvgGenerate,
        Self::ServerPublish,
        Self::ToolCall,
    ];

    /// The name in `jobType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ServerInit => "server-init",
            Self::SvgGenerate => "svg-generate",
            Self::ServerPublish => "server-publish",
            Self::ToolCall => "tool-call",
        }
    }

    /// The type of that name.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownJobType`], naming the types that exist.
    pub fn parse(name: &str) -> Result<Self, Failure> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                let name = bounded(name, 100);
                Failure::new(
                    ErrorCode::UnknownJobType,
                    format!("`jobType` is {name:?}; known are {known}"),
                )
            })
    }
}

/// One tool call of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Names the step within its job: the server's name for `server-init`, the tool's otherwise. Part of the
    /// idempotency key.
    pub id: String,
    /// The tool to call.
    pub tool: String,
    /// Its arguments. May hold secrets: never log them.
    pub arguments: Map<String, Value>,
}

/// The tool calls that the envelope stands for, at least one.
///
/// # Errors
/// [`ErrorCode::UnknownJobType`] or [`ErrorCode::InvalidPayload`], saying what is wrong and where.
pub fn plan(envelope: &JobEnvelope) -> Result<Vec<Step>, Failure> {
    let payload = &envelope.payload;
    match JobType::parse(&envelope.job_type)? {
        JobType::ServerInit => Ok(McpServersConfig::parse(payload)?
            .servers
            .into_iter()
            .map(|(name, server)| Step {
                id: name.clone(),
                tool: tool::SERVER_INITIALIZE.into(),
                arguments: ServerInitializeArgs::new(name, server).into_arguments(),
            })
            .collect()),
        JobType::SvgGenerate => one_tool(tool::GENERATE_SVG, payload),
        JobType::ServerPublish => one_tool(tool::PUBLISH_SERVER, payload),
        JobType::ToolCall => tool_call(payload),
    }
}

fn one_tool(tool: &str, payload: &str) -> Result<Vec<Step>, Failure> {
    let arguments = serde_json::from_str(payload).map_err(|error| {
        Failure::new(
            ErrorCode::InvalidPayload,
            format!(
                "the payload must be an object with the arguments of `{tool}`: {}",
                shape_error(&error)
            ),
        )
    })?;
    Ok(vec![Step {
        id: tool.into(),
        tool: tool.into(),
        arguments,
    }])
}

fn tool_call(payload: &str) -> Result<Vec<Step>, Failure> {
    #[derive(Deserialize)]
    struct ToolCall {
        tool: String,
        #[serde(default)]
        arguments: Map<String, Value>,
    }
    let call: ToolCall = serde_json::from_str(payload).map_err(|error| {
        Failure::new(
            ErrorCode::InvalidPayload,
            format!(
                "the payload must be {{\"tool\":…,\"arguments\":{{…}}}}: {}",
                shape_error(&error)
            ),
        )
    })?;
    if call.tool.is_empty() || call.tool.len() > 128 {
        return Err(Failure::new(
            ErrorCode::InvalidPayload,
            "`tool` must have 1 to 128 bytes",
        ));
    }
    Ok(vec![Step {
        id: call.tool.clone(),
        tool: call.tool,
        arguments: call.arguments,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(job_type: &str, payload: &str) -> Result<Vec<Step>, Failure> {
        let record =
            serde_json::json!({"jobID":"a","jobType":job_type,"payload":payload}).to_string();
        plan(&JobEnvelope::decode(Some(record.as_bytes()), None).unwrap())
    }

    #[test]
    fn server_init_calls_once_a_server_in_order() {
        let steps = plan_of(
            "server-init",
            r#"{"mcpServers":{"z":{"command":"x","args":["1"],"env":{"K":"v"},"envFile":"f"},"a":{"type":"sse","url":"http://h/"}}}"#,
        )
        .unwrap();
        let written: Vec<_> = steps
            .iter()
            .map(|step| {
                (
                    step.id.as_str(),
                    step.tool.as_str(),
                    Value::Object(step.arguments.clone()).to_string(),
                )
            })
            .collect();
        assert_eq!(
            written,
            [
                (
                    "z",
                    "server_initialize",
                    r#"{"name":"z","command":"x","args":["1"],"env":{"K":"v"},"envFile":"f"}"#
                        .to_owned()
                ),
                (
                    "a",
                    "server_initialize",
                    r#"{"name":"a","type":"sse","url":"http://h/"}"#.to_owned()
                ),
            ]
        );
    }

    #[test]
    fn the_other_types_call_one_tool_with_the_payload() {
        for (job_type, tool) in [
            ("svg-generate", "generate_svg"),
            ("server-publish", "publish_server"),
        ] {
            let steps = plan_of(job_type, r#"{"prompt":"a cat"}"#).unwrap();
            assert_eq!(steps.len(), 1);
            assert_eq!((&*steps[0].id, &*steps[0].tool), (tool, tool));
            assert_eq!(steps[0].arguments["prompt"], "a cat");
        }
        let steps = plan_of("tool-call", r#"{"tool":"echo","arguments":{"n":1}}"#).unwrap();
        assert_eq!(
            (&*steps[0].tool, &steps[0].arguments["n"]),
            ("echo", &Value::from(1))
        );
    }

    #[test]
    fn an_unknown_type_is_permanent_and_names_the_known_ones() {
        let failure = plan_of("no-such", "{}").unwrap_err();
        assert_eq!(failure.code, ErrorCode::UnknownJobType);
        assert_eq!(
            failure.message,
            "`jobType` is \"no-such\"; known are server-init, svg-generate, server-publish, tool-call"
        );
    }

    #[test]
    fn a_payload_that_does_not_fit_is_permanent() {
        for (job_type, payload) in [
            ("server-init", "[]"),
            ("svg-generate", "7"),
            ("tool-call", "{}"),
            ("tool-call", "{\"tool\":\"\"}"),
        ] {
            let failure = plan_of(job_type, payload).unwrap_err();
            assert_eq!(failure.code, ErrorCode::InvalidPayload, "{job_type}");
        }
    }
}
