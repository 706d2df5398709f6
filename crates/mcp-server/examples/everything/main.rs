//! A server with everything that the official conformance suite asks for, by the names that it asks for, built like the
//! product. `PORT` and all other variables are the product's.

#[path = "server.rs"]
mod server;

use mcp_runtime::{Telemetry, Vars, signals};
use mcp_server::ServerConfig;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let vars = Vars::from_env();
    let config = ServerConfig::from_vars(&vars)?;
    let telemetry = Telemetry::init("everything", &vars)?;
    let listener = TcpListener::bind((config.bind, config.port)).await?;
    tracing::info!(address = %listener.local_addr()?, "everything");
    let app = server::app(&config, telemetry.metrics());
    let served = mcp_server::run(listener, app, signals::stop_token()?).await;
    telemetry.shutdown();
    served
}
