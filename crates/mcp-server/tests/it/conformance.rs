//! The official suite against the example server, which is the product with the tools that the suite calls.

use mcp_testkit::conformance_server;

use crate::replica::Replica;

#[tokio::test]
async fn every_scenario_of_2026_07_28_passes_also_those_that_are_not_scored() {
    let replica = Replica::start(&[]).await;
    let printed = conformance_server(&replica.url("/mcp"), "2026-07-28").await;
    assert_eq!(passed(&printed), 37 + 13, "{}", printed.join("\n"));
}

#[tokio::test]
async fn every_scenario_of_2025_11_25_passes_also_those_that_are_not_scored() {
    let replica = Replica::start(&[]).await;
    let printed = conformance_server(&replica.url("/mcp"), "2025-11-25").await;
    assert_eq!(passed(&printed), 30 + 3, "{}", printed.join("\n"));
}

/// Scenarios in the suite's summary.
fn passed(printed: &[String]) -> usize {
    let summary = printed.iter().filter(|line| line.starts_with('✓'));
    summary.count()
}
