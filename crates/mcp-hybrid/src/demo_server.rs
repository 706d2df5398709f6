//! A real stdio MCP server with two small tools, for `dev` to start. It can fail its first starts, so that a retry can
//! be seen.

use std::process::ExitCode;

use anyhow::Context as _;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ServerHandler, ServiceExt as _, schemars, tool, tool_handler, tool_router};

use crate::cli::DemoServerOptions;
use crate::style::say;

#[derive(Clone)]
struct Demo {
    tool_router: ToolRouter<Self>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct AddArgs {
    /// First number.
    a: i64,
    /// Second number.
    b: i64,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct EchoArgs {
    /// What to send back.
    text: String,
}

#[tool_router]
impl Demo {
    fn new() -> Self {
        Self {
            tool_router: Self::tool_router(),
        }
    }

    /// Adds two numbers.
    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(AddArgs { a, b }): Parameters<AddArgs>) -> String {
        a.saturating_add(b).to_string()
    }

    /// Sends the text back.
    #[tool(description = "Sends the text back")]
    fn echo(&self, Parameters(EchoArgs { text }): Parameters<EchoArgs>) -> String {
        text
    }
}

#[tool_handler(router = self.tool_router, name = "mcp-hybrid-demo", instructions = "Two small tools to look at.")]
impl ServerHandler for Demo {}

/// Serves until standard input ends.
pub(crate) async fn run(options: DemoServerOptions) -> anyhow::Result<ExitCode> {
    if let Some(path) = &options.attempts_file {
        let seen: u32 = match std::fs::read_to_string(path) {
            Ok(text) => text.trim().parse().context("the attempts file")?,
            Err(_) => 0,
        };
        std::fs::write(path, (seen + 1).to_string()).context("the attempts file")?;
        if seen < options.fail_first {
            let (name, start, all) = (&options.name, seen + 1, options.fail_first);
            let what =
                format!("the {name} server fails its start {start} of {all}, as it was told to");
            // Said as MCP too: a server that ends without a word is started once more, as one of an older era.
            say(serde_json::json!({
                "jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "error", "data": &what},
            }));
            anyhow::bail!(what);
        }
    }
    let service = Demo::new().serve(rmcp::transport::stdio()).await?;
    service.waiting().await?;
    Ok(ExitCode::SUCCESS)
}
