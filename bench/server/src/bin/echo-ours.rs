//! mcp-server and one tool more: the product's own application, which every request passes as it does there. The product has
//! no tool whose work is nothing.

use anyhow::Context as _;
use mcp_core::Failure;
use mcp_runtime::{Telemetry, Vars, signals};
use mcp_server::{App, ServerConfig, Tool, ToolContext, app};
use rmcp::model::ToolAnnotations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Deserialize, JsonSchema, Serialize)]
struct Text {
    text: String,
}

struct Echo;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

impl Tool for Echo {
    type Arguments = Text;
    type Output = Text;

    fn name(&self) -> &'static str {
        "echo"
    }

    fn description(&self) -> &'static str {
        "Gives back what it is given."
    }

    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::new().read_only(true)
    }

    async fn call(&self, arguments: Text, _context: ToolContext) -> Result<Text, Failure> {
        Ok(arguments)
    }
}

// As in mcp-server's own main, the same runtime and the same allocator: what changes there has to change here.
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let vars = Vars::from_env();
    let config = ServerConfig::from_vars(&vars)?;
    let telemetry = Telemetry::init("mcp-server", &vars)?;
    let stop = signals::stop_token()?;
    let listener = TcpListener::bind((config.bind, config.port))
        .await
        .context("PORT can't be bound")?;
    let tools = app::tools(&config).with(Echo);
    let app = App::with_tools(&config, tools, telemetry.metrics());
    let result = mcp_server::run(listener, app, stop).await;
    telemetry.shutdown();
    result
}
