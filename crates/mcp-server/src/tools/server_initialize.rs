//! `server_initialize`: start an MCP server (or connect to one), shake hands, report its tools, end it.

use std::time::Duration;

use mcp_client::{McpClient, ServerUrl};
use mcp_core::tool::{InitializeStatus, SERVER_INITIALIZE};
use mcp_core::{
    ErrorCode, Failure, RemoteKind, RemoteServer, ServerConfig, ServerInitializeArgs,
    ServerInitializeResult,
};
use mcp_runtime::{Conditions, trace_context};
use mcp_sandbox::Sandbox;
use metrics::gauge;
use rmcp::model::ToolAnnotations;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use url::Url;

use super::{Tool, ToolContext};
use crate::launching::LaunchConfig;
use crate::metric_definitions as metric;
use crate::spans;

/// The tool; what it may start or connect to is the sandbox's policy.
#[derive(Clone)]
pub struct ServerInitialize {
    launching: LaunchConfig,
    sandbox: Sandbox,
}

impl ServerInitialize {
    /// The tool with a sandbox of its own.
    pub fn new(launching: LaunchConfig) -> Self {
        Self {
            sandbox: launching.sandbox(),
            launching,
        }
    }

    async fn connect(
        &self,
        context: &ToolContext,
        name: String,
        server: RemoteServer,
    ) -> Result<ServerInitializeResult, Failure> {
        let policy = self.sandbox.policy();
        let url = policy.admit_url(&server.url)?;
        let timeout = policy.limits().handshake;
        let connection = Self::connection(context, name, server, url, timeout);
        self.sandbox.counted(connection).await
    }

    async fn connection(
        context: &ToolContext,
        name: String,
        server: RemoteServer,
        url: Url,
        timeout: Duration,
    ) -> Result<ServerInitializeResult, Failure> {
        let began = Instant::now();
        let caller = context.caller.owner();
        tracing::info!(caller, server = name, host = url.host_str(), kind = ?server.kind, "connecting to an MCP server");
        let invalid = |what: String| Failure::new(ErrorCode::InvalidArguments, what);
        let client = McpClient::builder(ServerUrl::exact(url.as_str()).map_err(invalid)?)
            .headers(server.headers)
            .build()
            .map_err(|error| invalid(error.to_string()))?;
        let handshake = match server.kind {
            RemoteKind::Http => client.initialize(timeout).await,
            RemoteKind::Sse => client.initialize_over_sse(timeout).await,
        };
        let handshake = handshake.map_err(|failure| Failure {
            message: format!("{name}: {}", failure.message),
            ..failure
        })?;
        Ok(ServerInitializeResult {
            name,
            status: InitializeStatus::Initialized,
            protocol_version: handshake.protocol_version,
            server_info: handshake.server_info,
            capabilities: handshake.capabilities,
            tools: handshake.tools,
            duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }
}

impl Tool for ServerInitialize {
    type Arguments = ServerInitializeArgs;
    type Output = ServerInitializeResult;

    fn name(&self) -> &'static str {
        SERVER_INITIALIZE
    }

    fn description(&self) -> &'static str {
        "Starts an MCP server (command, args, env, envFile) or connects to one (type, url, headers), shakes hands, \
         lists its tools and ends it. Use it to check that a server configuration works and to learn its tools. Only \
         what the operator's launch policy allows is started or connected to."
    }

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::with_title("Initialize an MCP server")
            .read_only(false)
            .destructive(false)
            .idempotent(true)
            .open_world(true)
    }

    async fn call(
        &self,
        arguments: ServerInitializeArgs,
        context: ToolContext,
    ) -> Result<ServerInitializeResult, Failure> {
        let ServerInitializeArgs { name, server } = arguments;
        let server = server
            .server()
            .map_err(|what| Failure::new(ErrorCode::InvalidArguments, what))?;
        match server {
            ServerConfig::Stdio(server) => {
                let _counted = Launch::enter();
                let span = spans::launch(&name, &server.command);
                let trace = trace_context::outgoing(&span, |name| {
                    let (_, value) = context.trace.iter().find(|(header, _)| header == name)?;
                    Some(value)
                });
                let sandbox = self.sandbox.within(trace);
                let caller = context.caller.owner();
                let launch = sandbox.initialize(caller, &name, &server);
                let launch = launch.instrument(span.clone());
                let outcome = launch.await;
                if let Err(failure) = &outcome {
                    spans::failed(&span, failure.code.as_str());
                }
                outcome
            }
            ServerConfig::Remote(server) => self.connect(&context, name, server).await,
        }
    }

    async fn follow(&self, ready: &Conditions, stop: CancellationToken) {
        self.launching.follow(&self.sandbox, ready, stop).await;
    }

    async fn close(&self) {
        self.sandbox.drained().await;
    }
}

/// Counts a launch under way, also one whose caller goes away.
struct Launch;

impl Launch {
    fn enter() -> Self {
        gauge!(metric::LAUNCHES).increment(1.0);
        Self
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        gauge!(metric::LAUNCHES).decrement(1.0);
    }
}
