//! The floor: axum reads JSON and writes the same JSON. It knows nothing of MCP; what answers over axum can't cost less.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use axum::Json;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;

/// The same for all three, so that what is compared is not the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

async fn echo(Json(message): Json<Value>) -> Json<Value> {
    Json(message)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::var("PORT").context("PORT")?.parse()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let routes = axum::Router::new().route("/mcp", post(echo));
    Ok(axum::serve(listener, routes).await?)
}
