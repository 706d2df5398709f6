//! rmcp's own streamable HTTP service, stateless and with JSON answers, as its documentation has it. Only the router of tools
//! is made once: by default rmcp's macro makes it anew for each call.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use rmcp::ServerHandler;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::{Json, Parameters};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// The same for all three, so that what is compared is not the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Deserialize, JsonSchema, Serialize)]
struct Text {
    text: String,
}

#[derive(Clone)]
struct Echo {
    tools: Arc<ToolRouter<Self>>,
}

#[tool_router]
impl Echo {
    #[tool(description = "Gives back what it is given.")]
    async fn echo(&self, Parameters(text): Parameters<Text>) -> Json<Text> {
        Json(text)
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Echo {}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::var("PORT").context("PORT")?.parse()?;
    let echo = Echo {
        tools: Arc::new(Echo::tool_router()),
    };
    let service = StreamableHttpService::new(
        move || Ok(echo.clone()),
        Arc::new(NeverSessionManager::default()),
        StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true),
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let routes = axum::Router::new().nest_service("/mcp", service);
    Ok(axum::serve(listener, routes).await?)
}
