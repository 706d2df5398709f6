//! What is said of layers that are missing, when that changes.

use std::path::Path;

use mcp_core::ErrorCode;
use mcp_sandbox::{LaunchPolicy, Layer, Mode, Sandbox};

use crate::program::{Program, sandbox};

fn policy(cgroup: Option<&Path>) -> LaunchPolicy {
    let cgroup = cgroup.map(|path| format!("cgroup = {path:?}\n"));
    let cgroup = cgroup.unwrap_or_default();
    let text = format!("{cgroup}[[command]]\nname = \"sh\"\npath = \"/bin/sh\"\n");
    LaunchPolicy::from_text(Path::new("policy.toml"), &text, &|_| None).unwrap()
}

async fn lacks_cgroup(sandbox: &Sandbox) -> bool {
    let missing = sandbox.missing().await.unwrap();
    missing.iter().any(|missing| missing.layer == Layer::Cgroup)
}

#[tokio::test]
async fn a_cgroup_is_missing_as_soon_as_a_policy_names_one_that_is_not_there() {
    let sandbox = sandbox("");
    assert!(!lacks_cgroup(&sandbox).await);
    let folder = tempfile::tempdir().unwrap();
    sandbox.replace_policy(policy(Some(folder.path())));
    assert!(lacks_cgroup(&sandbox).await);
    sandbox.replace_policy(policy(None));
    assert!(!lacks_cgroup(&sandbox).await);
}

#[tokio::test]
async fn a_layer_that_another_policy_lacks_is_a_denial_where_it_is_required() {
    let sandbox = sandbox("").mode(Mode::Require);
    let mut server = Program::new("").server;
    server.command = "sh".into();
    server.args = vec!["-c".into(), "exit 3".into()];
    sandbox.replace_policy(policy(None));
    let launch = async || {
        let outcome = sandbox.initialize("tester", "tested", &server).await;
        outcome.unwrap_err()
    };
    assert_eq!(launch().await.code, ErrorCode::LaunchFailed);
    let folder = tempfile::tempdir().unwrap();
    sandbox.replace_policy(policy(Some(folder.path())));
    let failure = launch().await;
    assert_eq!(failure.code, ErrorCode::LaunchDenied, "{failure}");
    assert!(failure.message.contains("a cgroup"), "{failure}");
}

#[tokio::test]
async fn a_look_that_failed_is_taken_again_at_the_next_need() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = folder.path().join("launcher");
    let sandbox = Sandbox::with_launcher(policy(None), launcher.clone());
    let required = sandbox.clone().mode(Mode::Require);
    let why = sandbox.missing().await.unwrap_err();
    assert!(why.contains("no process can be boxed in"), "{why}");
    let mut server = Program::new("").server;
    server.command = "sh".into();
    let failure = required.initialize("tester", "tested", &server).await;
    let failure = failure.unwrap_err();
    // Another attempt may help, and nothing was found missing.
    assert_eq!(failure.code, ErrorCode::LaunchFailed, "{failure}");

    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mcp-sandbox"), &launcher).unwrap();
    sandbox.missing().await.unwrap();
}
