//! `McpServersConfig`, the payload of a `server-init` job: the `mcpServers` object that MCP hosts use.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error_code::ErrorCode;
use crate::failure::Failure;
use crate::secret::Secret;
use crate::text::shape_error;

/// Most servers that one job may name.
pub const SERVERS_MAX: usize = 64;
/// Longest server name, in bytes.
pub const NAME_MAX: usize = 200;

/// Name → server, in the order of the document.
#[derive(Clone, Debug, PartialEq)]
pub struct McpServersConfig {
    /// The servers by name.
    pub servers: IndexMap<String, ServerConfig>,
}

/// How to reach one MCP server.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerConfig {
    /// Start a program and talk over its standard input and output.
    Stdio(StdioServer),
    /// Connect to a URL.
    Remote(RemoteServer),
}

/// A program that speaks MCP on standard input and output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StdioServer {
    /// The program: a name or an absolute path that the launch policy allows.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables for it.
    pub env: IndexMap<String, Secret>,
    /// A file of environment variables, relative to the server's configured directory.
    pub env_file: Option<String>,
}

/// An MCP server behind a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteServer {
    /// Which transport it speaks.
    pub kind: RemoteKind,
    /// Where it is, `http` or `https`.
    pub url: String,
    /// Headers to send.
    pub headers: IndexMap<String, Secret>,
}

/// The transport of a remote server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RemoteKind {
    /// Streamable HTTP (2025-03-26 and later).
    #[default]
    #[serde(alias = "streamable-http", alias = "streamableHttp")]
    Http,
    /// HTTP with server-sent events (2024-11-05).
    Sse,
}

/// The fields of one server as they are written, before it is known which kind they describe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerFields {
    /// The program to start: a name or an absolute path that the operator's launch policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The program's arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables for the program.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub env: IndexMap<String, Secret>,
    /// A file of environment variables in the operator's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_file: Option<String>,
    /// `http` or `sse` with `url`; may be `stdio` with `command`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The URL to connect to, instead of a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// HTTP headers to send with each request to `url`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub headers: IndexMap<String, Secret>,
}

impl ServerFields {
    /// Which server the fields describe, or a sentence that says what does not fit.
    pub fn server(self) -> Result<ServerConfig, String> {
        let kind = self.kind.as_deref();
        match (self.command, self.url) {
            (Some(_), Some(_)) => {
                Err("`command` and `url` exclude each other: give one of them".into())
            }
            (None, None) => Err(
                "neither `command` nor `url` is given: one of them says how to reach the server"
                    .into(),
            ),
            (Some(command), None) => {
                if command.is_empty() {
                    return Err("`command` is empty".into());
                }
                if kind.is_some_and(|kind| kind != "stdio") {
                    return Err("`type` with `command` may only be \"stdio\"".into());
                }
                Ok(ServerConfig::Stdio(StdioServer {
                    command,
                    args: self.args,
                    env: self.env,
                    env_file: self.env_file,
                }))
            }
            (None, Some(url)) => {
                let kind = match kind {
                    None | Some("http" | "streamable-http" | "streamableHttp") => RemoteKind::Http,
                    Some("sse") => RemoteKind::Sse,
                    Some(other) => {
                        return Err(format!(
                            "`type` is {other:?}: with `url` it may be \"http\" or \"sse\""
                        ));
                    }
                };
                Ok(ServerConfig::Remote(RemoteServer {
                    kind,
                    url,
                    headers: self.headers,
                }))
            }
        }
    }
}

impl From<ServerConfig> for ServerFields {
    fn from(server: ServerConfig) -> Self {
        match server {
            ServerConfig::Stdio(stdio) => Self {
                command: Some(stdio.command),
                args: stdio.args,
                env: stdio.env,
                env_file: stdio.env_file,
                ..Self::default()
            },
            ServerConfig::Remote(remote) => Self {
                kind: Some(
                    match remote.kind {
                        RemoteKind::Http => "http",
                        RemoteKind::Sse => "sse",
                    }
                    .into(),
                ),
                url: Some(remote.url),
                headers: remote.headers,
                ..Self::default()
            },
        }
    }
}

impl McpServersConfig {
    /// Reads a `server-init` payload.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidPayload`], naming the server and field that is wrong.
    pub fn parse(payload: &str) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Document {
            #[serde(rename = "mcpServers")]
            servers: IndexMap<String, serde_json::Value>,
        }
        let invalid = |what: String| Failure::new(ErrorCode::InvalidPayload, what);
        let document: Document = serde_json::from_str(payload).map_err(|error| {
            invalid(format!(
                "the payload is no McpServersConfig: {}",
                shape_error(&error)
            ))
        })?;
        if document.servers.is_empty() {
            return Err(invalid("`mcpServers` is empty: it names no server".into()));
        }
        if document.servers.len() > SERVERS_MAX {
            let count = document.servers.len();
            return Err(invalid(format!(
                "`mcpServers` names {count} servers, {SERVERS_MAX} are allowed in a job"
            )));
        }
        let mut servers = IndexMap::with_capacity(document.servers.len());
        for (name, fields) in document.servers {
            if name.is_empty() || name.len() > NAME_MAX {
                return Err(invalid(format!(
                    "a name in `mcpServers` has {} bytes, 1 to {NAME_MAX} are allowed",
                    name.len()
                )));
            }
            let server = serde_json::from_value::<ServerFields>(fields)
                .map_err(|error| shape_error(&error))
                .and_then(ServerFields::server)
                .map_err(|what| invalid(format!("`mcpServers`.{name:?}: {what}")))?;
            servers.insert(name, server);
        }
        Ok(Self { servers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &str) -> String {
        McpServersConfig::parse(payload).unwrap_err().message
    }

    #[test]
    fn the_payload_of_the_example_message_is_read() {
        let payload = r#"{"mcpServers":{"MariaDB_Server":{"command":"uv","args":["--directory","path/to/server","run","server.py"],"envFile":"path/to/.env"}}}"#;
        let config = McpServersConfig::parse(payload).unwrap();
        let ServerConfig::Stdio(server) = &config.servers["MariaDB_Server"] else {
            panic!("a command is a stdio server")
        };
        assert_eq!(server.command, "uv");
        assert_eq!(
            server.args,
            ["--directory", "path/to/server", "run", "server.py"]
        );
        assert_eq!(server.env_file.as_deref(), Some("path/to/.env"));
    }

    #[test]
    fn remote_servers_name_their_transport() {
        let config = McpServersConfig::parse(
            r#"{"mcpServers":{"a":{"type":"http","url":"http://h/mcp","headers":{"X":"y"}},"b":{"type":"sse","url":"http://h/sse"}}}"#,
        )
        .unwrap();
        let kinds: Vec<_> = config
            .servers
            .values()
            .map(|server| match server {
                ServerConfig::Remote(remote) => remote.kind,
                ServerConfig::Stdio(_) => panic!("a URL is a remote server"),
            })
            .collect();
        assert_eq!(kinds, [RemoteKind::Http, RemoteKind::Sse]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(
            message(r#"{"mcpServers":{}}"#),
            "`mcpServers` is empty: it names no server"
        );
        assert!(message("{}").contains("missing field `mcpServers`"));
        assert!(message(r#"{"mcpServers":{"a":{}}}"#).starts_with("`mcpServers`.\"a\": neither"));
        assert!(
            message(r#"{"mcpServers":{"a":{"command":"x","url":"y"}}}"#)
                .contains("exclude each other")
        );
        assert!(message(r#"{"mcpServers":{"a":{"command":7}}}"#).contains("invalid type: integer"));
        assert!(
            message(r#"{"mcpServers":{"a":{"type":"ws","url":"x"}}}"#)
                .contains("\"http\" or \"sse\"")
        );
    }

    #[test]
    fn environment_values_are_not_printed() {
        let config = McpServersConfig::parse(
            r#"{"mcpServers":{"a":{"command":"x","env":{"TOKEN":"hunter2"}}}}"#,
        )
        .unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
