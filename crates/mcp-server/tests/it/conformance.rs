//! The official suite against the product. `conformance/` at the root of the repository says what it can't pass, and why.

use mcp_testkit::conformance_server;

use crate::server::Server;

#[tokio::test]
async fn the_server_scenarios_of_2026_07_28_pass_but_for_the_expected() {
    let server = Server::start().await;
    conformance_server(&format!("{}/mcp", server.url), "2026-07-28").await;
}

#[tokio::test]
async fn the_server_scenarios_of_2025_11_25_pass_but_for_the_expected() {
    let server = Server::start().await;
    conformance_server(&format!("{}/mcp", server.url), "2025-11-25").await;
}
