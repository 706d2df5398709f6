//! The official MCP conformance suite, pinned, against what this workspace builds.

use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, fetched};

/// A whole set takes about ten seconds; one scenario that hangs has thirty.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs all server scenarios that the suite has for the specification's `revision` (such as `2026-07-28`) against the MCP
/// endpoint `url`: those that are required, and those that the suite only reports. Returns what it printed.
///
/// # Panics
///
/// When a scenario of either kind fails; with what the suite printed.
pub async fn conformance_server(url: &str, revision: &str) -> Vec<String> {
    let arguments = ["--url", url, "--requirements", revision];
    let printed = finish("server", &arguments).await;
    let failed: Vec<_> = printed.iter().filter(|line| line.contains('✗')).collect();
    assert!(failed.is_empty(), "{failed:?}\n{}", printed.join("\n"));
    printed
}

/// Runs the client scenario `scenario` against `command`, a shell command to which the suite adds the URL of a server of
/// its own. Returns what the suite printed.
///
/// # Panics
///
/// When the scenario fails; with what the suite printed.
pub async fn conformance_client(command: &str, scenario: &str, revision: &str) -> Vec<String> {
    let arguments = ["--command", command, "--scenario", scenario];
    let arguments = [&arguments[..], &["--spec-version", revision]].concat();
    finish("client", &arguments).await
}

async fn finish(mode: &str, arguments: &[&str]) -> Vec<String> {
    let folder = TempDir::with_prefix("mcp-testkit-conformance-").expect("a temporary folder");
    let mut suite = Process::builder(fetched::node22())
        .named(&format!("conformance {mode}"))
        .arg(fetched::conformance_cli())
        .arg(mode)
        .args(arguments)
        .arg("--output-dir")
        .arg(folder.path())
        .current_dir(folder.path())
        .start();
    let status = suite.wait_exit(PATIENCE).await;
    let printed = suite.output();
    assert!(
        status.success(),
        "conformance {mode} {arguments:?} ended with {status}:\n{}",
        printed.join("\n")
    );
    printed
}
