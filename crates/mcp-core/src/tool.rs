//! Typed arguments, results and the error of the server's tools.
//!
//! A tool failure is a `tools/call` result with `isError: true`, the sentence for people in `content[0].text` and a
//! [`ToolError`] under `_meta["io.mcp-hybrid/error"]`. It is not in `structuredContent`: SDK clients validate that
//! against the output schema.

pub mod svg;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error_code::{Blame, Class, ErrorCode};
use crate::failure::Failure;
use crate::servers_config::{ServerConfig, ServerFields};

/// Start an MCP server, shake hands, report its tools.
pub const SERVER_INITIALIZE: &str = "server_initialize";
/// Generate an SVG.
pub const GENERATE_SVG: &str = "generate_svg";
/// Change an SVG that was generated.
pub const REFINE_SVG: &str = "refine_svg";
/// Publish a server to the registry.
pub const PUBLISH_SERVER: &str = "publish_server";

/// The `_meta` key of a failed tool's result.
pub const ERROR_META_KEY: &str = "io.mcp-hybrid/error";

/// Arguments of `server_initialize`: `{name, command, args?, env?, envFile?}` or `{name, type, url, headers?}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerInitializeArgs {
    /// The name to report the server under.
    pub name: String,
    /// How to start or reach it.
    #[serde(flatten)]
    pub server: ServerFields,
}

impl ServerInitializeArgs {
    /// The arguments for `server`, called `name`.
    pub fn new(name: String, server: ServerConfig) -> Self {
        Self {
            name,
            server: server.into(),
        }
    }

    /// As the `arguments` object of a `tools/call`.
    pub fn into_arguments(self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            other => unreachable!(
                "a struct of strings and maps is an object: {}",
                other.is_ok()
            ),
        }
    }
}

/// Result of `server_initialize`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerInitializeResult {
    /// The name from the arguments.
    pub name: String,
    /// Always `initialized`; a failure is a tool error instead.
    pub status: InitializeStatus,
    /// The protocol version that was agreed on.
    pub protocol_version: String,
    /// What the server says it is.
    pub server_info: ServerInfo,
    /// The server's capabilities, as it declared them.
    pub capabilities: Map<String, Value>,
    /// All its tools, from every page.
    pub tools: Vec<ToolInfo>,
    /// From the start of the launch to the end of the handshake, in milliseconds.
    pub duration_ms: u64,
}

/// The only status of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InitializeStatus {
    /// The handshake was completed and the tools were listed.
    Initialized,
}

/// A server's name and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// One tool of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolInfo {
    /// Its name.
    pub name: String,
    /// What it says it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub input_schema: Map<String, Value>,
}

/// Arguments of `publish_server`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublishServerArgs {
    /// The server.json: $schema (that of release 2025-12-11), name, description and version, and what else the schema has.
    pub server: Map<String, Value>,
    /// The server's tools, each as tools/list gives it: name and inputSchema, and what else it has. They are kept beside
    /// the server.json and are a part of the version's content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Map<String, Value>>,
}

/// Result of `publish_server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublishServerResult {
    /// The server's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// Whether this call published it.
    pub status: PublishStatus,
    /// Whether it is the latest version of the server now.
    pub is_latest: bool,
    /// When it was published, in RFC 3339.
    pub published_at: String,
    /// SHA-256, in hexadecimal, of the content: {"server":…,"tools":[…]} as compact JSON with all fields in the order of
    /// their names.
    pub sha256: String,
    /// How many tools are kept beside it.
    pub tools: usize,
}

/// What a publication changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PublishStatus {
    /// The version is new.
    Published,
    /// The version was there, with the same content.
    Unchanged,
}

/// What a failed tool tells programs: `{code, retryable, retryAfterMs?, detail?}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolError {
    /// One of ours ([`ErrorCode::as_str`]) or the other server's own.
    pub code: String,
    /// Whether calling again may help.
    pub retryable: bool,
    /// How long to wait first, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// More for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

impl From<&Failure> for ToolError {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.as_str().into(),
            retryable: failure.code.is_retryable(),
            retry_after_ms: failure
                .retry_after
                .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            detail: failure.detail.clone(),
        }
    }
}

impl ToolError {
    /// The failure that the caller sees. A code of ours keeps its meaning where `retryable` agrees with its class;
    /// otherwise `retryable` decides and the code goes into the detail.
    pub fn into_failure(self, message: &str) -> Failure {
        // What a tool says is about the tool: it can neither stop a worker nor speak for the connection to its server.
        let known = ErrorCode::parse(&self.code).filter(|code| {
            code.is_retryable() == self.retryable
                && code.blame() == Blame::Job
                && code.class() != Class::Fatal
        });
        let code = known.unwrap_or(if self.retryable {
            ErrorCode::ToolUnavailable
        } else {
            ErrorCode::ToolFailed
        });
        let mut failure = Failure::new(code, message)
            .with_retry_after(self.retry_after_ms.map(Duration::from_millis));
        failure.detail = match (known, self.detail) {
            (Some(_), detail) => detail,
            (None, detail) => {
                Some(serde_json::json!({"toolCode": self.code, "toolDetail": detail}))
            }
        };
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_the_fields_of_the_contract() {
        let result = ServerInitializeResult {
            name: "a".into(),
            status: InitializeStatus::Initialized,
            protocol_version: "2025-11-25".into(),
            server_info: ServerInfo {
                name: "s".into(),
                version: "1".into(),
            },
            capabilities: Map::new(),
            tools: vec![ToolInfo {
                name: "t".into(),
                description: None,
                input_schema: Map::new(),
            }],
            duration_ms: 12,
        };
        assert_eq!(
            serde_json::to_string(&result).unwrap(),
            r#"{"name":"a","status":"initialized","protocolVersion":"2025-11-25","serverInfo":{"name":"s","version":"1"},"capabilities":{},"tools":[{"name":"t","inputSchema":{}}],"durationMs":12}"#
        );
    }

    #[test]
    fn schemas_name_the_fields_and_what_is_required() {
        let args = schemars::schema_for!(ServerInitializeArgs).to_value();
        assert_eq!(args["type"], "object");
        assert_eq!(args["required"], serde_json::json!(["name"]));
        for field in [
            "name", "command", "args", "env", "envFile", "type", "url", "headers",
        ] {
            assert!(args["properties"][field].is_object(), "{field}");
        }
        let result = schemars::schema_for!(ServerInitializeResult).to_value();
        assert_eq!(
            result["required"],
            serde_json::json!([
                "name",
                "status",
                "protocolVersion",
                "serverInfo",
                "capabilities",
                "tools",
                "durationMs"
            ])
        );
    }

    #[test]
    fn a_publication_has_the_fields_of_the_contract() {
        let result = PublishServerResult {
            name: "com.example/a".into(),
            version: "1.0.0".into(),
            status: PublishStatus::Unchanged,
            is_latest: true,
            published_at: "2026-01-31T00:00:00.000Z".into(),
            sha256: "0a".into(),
            tools: 2,
        };
        assert_eq!(
            serde_json::to_string(&result).unwrap(),
            r#"{"name":"com.example/a","version":"1.0.0","status":"unchanged","isLatest":true,"publishedAt":"2026-01-31T00:00:00.000Z","sha256":"0a","tools":2}"#
        );
        let args = schemars::schema_for!(PublishServerArgs).to_value();
        assert_eq!(args["required"], serde_json::json!(["server"]));
        assert_eq!(args["properties"]["tools"]["items"]["type"], "object");
    }

    #[test]
    fn a_tool_error_has_the_bytes_of_the_contract_and_reads_back() {
        let failure = Failure::new(ErrorCode::LaunchBusy, "too many launches")
            .with_retry_after(Some(Duration::from_millis(250)));
        let error = ToolError::from(&failure);
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"code":"launch-busy","retryable":true,"retryAfterMs":250}"#
        );
        assert_eq!(error.into_failure("too many launches"), failure);
    }

    #[test]
    fn a_foreign_code_is_judged_by_what_it_says_of_retrying() {
        let foreign = |retryable| ToolError {
            code: "quota".into(),
            retryable,
            retry_after_ms: None,
            detail: None,
        };
        assert_eq!(
            foreign(true).into_failure("x").code,
            ErrorCode::ToolUnavailable
        );
        assert_eq!(foreign(false).into_failure("x").code, ErrorCode::ToolFailed);
    }

    #[test]
    fn a_tool_can_not_stop_a_worker_or_speak_for_the_connection() {
        let claims = |code: ErrorCode| ToolError {
            code: code.as_str().into(),
            retryable: code.is_retryable(),
            retry_after_ms: None,
            detail: None,
        };
        let heard = |code| claims(code).into_failure("x").code;
        assert_eq!(heard(ErrorCode::BrokerFenced), ErrorCode::ToolFailed);
        assert_eq!(
            heard(ErrorCode::ServerUnreachable),
            ErrorCode::ToolUnavailable
        );
        assert_eq!(heard(ErrorCode::LaunchDenied), ErrorCode::LaunchDenied);
    }
}
