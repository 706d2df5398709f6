//! The official conformance suite drives the client. The README says which scenarios apply to a caller of tools.

use std::path::PathBuf;

use mcp_testkit::conformance_client;

/// Cargo builds a package's examples along with its tests, in a folder next to theirs.
fn client() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples/conformance-client");
    assert!(
        path.exists(),
        "{} is missing: run cargo test -p mcp-client",
        path.display()
    );
    path
}

async fn pass(revision: &str, scenarios: &[&str]) {
    let command = client().display().to_string();
    for scenario in scenarios {
        conformance_client(&command, scenario, revision).await;
    }
}

#[tokio::test]
async fn the_scenarios_of_2025_11_25_for_a_caller_of_tools_pass() {
    let scenarios = [
        "initialize",
        "tools_call",
        "sse-retry",
        "json-schema-2020-12-preservation",
    ];
    pass("2025-11-25", &scenarios).await;
}

#[tokio::test]
async fn the_scenarios_of_2026_07_28_for_a_caller_of_tools_pass() {
    let scenarios = [
        "tools_call",
        "request-metadata",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ];
    pass("2026-07-28", &scenarios).await;
}
