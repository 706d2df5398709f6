//! The box that programs are started in, and the policy that may change.

use mcp_testkit::{Process, eventually};
use serde_json::json;

use crate::server::{PATIENCE, Server, error_of, sentence};

/// A shell that says something and ends: started or not is all that matters here.
const SHELL: &str = "run_as = { uid = 65534, gid = 65534 }\n[[command]]\nname = \"sh\"\n";

/// Becomes the program in its arguments on a kernel without Landlock, as far as that can tell: a seccomp filter answers
/// `landlock_create_ruleset` (444) with `ENOSYS`.
const WITHOUT_LANDLOCK: &str = "
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
lines = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in lines))
program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(lines), ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
";

async fn without_landlock(variables: &[(&str, &str)]) -> Server {
    let builder = Process::builder("/usr/bin/python3");
    let builder = builder.args(["-c", WITHOUT_LANDLOCK, env!("CARGO_BIN_EXE_mcp-server")]);
    Server::by(builder, SHELL, variables).await
}

async fn ready(server: &Server) -> serde_json::Value {
    let answer = reqwest::get(format!("{}/ready", server.url)).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

async fn noted(server: &Server) -> String {
    eventually(PATIENCE, async || {
        let ready = ready(server).await;
        let note = ready["notices"]["sandbox"].as_str().map(str::to_owned);
        note.ok_or_else(|| ready.to_string())
    })
    .await
}

#[tokio::test]
async fn missing_layers_are_in_the_log_and_in_ready_and_stop_nothing() {
    let mut server = without_landlock(&[]).await;
    let line = server
        .process
        .wait_for_line("programs are boxed in without", PATIENCE)
        .await;
    assert!(line.contains("Landlock rules of files"), "{line}");
    let note = noted(&server).await;
    assert!(note.contains("the kernel has no Landlock"), "{note}");
    let arguments = json!({"name": "x", "command": "sh", "args": ["-c", "exit 3"]});
    let result = server.initialize(arguments).await;
    assert!(sentence(&result).contains("exit code 3"), "{result}");
}

#[tokio::test]
async fn where_all_layers_are_required_nothing_is_started_without_one() {
    let server = without_landlock(&[("MCP_SANDBOX", "require")]).await;
    let arguments = json!({"name": "x", "command": "sh", "args": ["-c", "exit 3"]});
    let result = server.initialize(arguments).await;
    let denied = json!({"code": "launch-denied", "retryable": false});
    assert_eq!(error_of(&result), &denied);
    let text = sentence(&result);
    assert!(
        text.contains("MCP_SANDBOX=require") && text.contains("Landlock rules of files"),
        "{text}"
    );
    noted(&server).await;
}

/// Puts another policy in the place of the server's, as editors and Kubernetes do it: another file in its place.
fn put(server: &Server, text: &str) {
    let policy = server.folder.path().join("policy.toml");
    let new = policy.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, &policy).unwrap();
}

/// The value of the metric that says whether the cgroup is missing.
async fn cgroup_missing(server: &Server) -> String {
    let metrics = reqwest::get(format!("{}/metrics", server.url)).await;
    let metrics = metrics.unwrap().text().await.unwrap();
    let name = "mcp_server_sandbox_layer_missing{layer=\"a cgroup\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or(&metrics).to_owned()
}

/// A policy with a folder of cgroups that is none.
fn without_cgroup() -> String {
    format!("cgroup = \"/tmp\"\n{SHELL}")
}

#[tokio::test]
async fn what_another_policy_lacks_is_told_until_one_lacks_nothing() {
    let mut server = Server::with_policy(SHELL).await;
    assert_eq!(ready(&server).await.get("notices"), None);
    put(&server, &without_cgroup());
    let note = noted(&server).await;
    assert!(note.contains("a cgroup (/tmp"), "{note}");
    assert_eq!(cgroup_missing(&server).await, "1");
    server
        .process
        .wait_for_line("programs are boxed in without: a cgroup", PATIENCE)
        .await;
    let arguments = json!({"name": "x", "command": "sh", "args": ["-c", "exit 3"]});
    let result = server.initialize(arguments).await;
    assert!(sentence(&result).contains("exit code 3"), "{result}");

    put(&server, SHELL);
    eventually(PATIENCE, async || {
        let ready = ready(&server).await;
        let note = ready["notices"]["sandbox"].as_str();
        note.is_none().then_some(()).ok_or(ready.to_string())
    })
    .await;
    assert_eq!(cgroup_missing(&server).await, "0");
}

#[tokio::test]
async fn where_all_layers_are_required_another_policy_that_lacks_one_denies_for_good() {
    let mut server = Server::with(SHELL, &[("MCP_SANDBOX", "require")]).await;
    let arguments = json!({"name": "x", "command": "sh", "args": ["-c", "exit 3"]});
    let result = server.initialize(arguments.clone()).await;
    assert!(sentence(&result).contains("exit code 3"), "{result}");
    put(&server, &without_cgroup());
    server
        .process
        .wait_for_line("no program is started (MCP_SANDBOX=require)", PATIENCE)
        .await;
    let result = server.initialize(arguments).await;
    let denied = json!({"code": "launch-denied", "retryable": false});
    assert_eq!(error_of(&result), &denied, "{result}");
}

#[tokio::test]
async fn a_changed_policy_is_taken_up_and_a_bad_one_is_not() {
    let mut server = Server::with_policy(SHELL).await;
    let arguments = json!({"name": "x", "command": "sh", "args": ["-c", "exit 3"]});
    let code = async |server: &Server| {
        let result = server.initialize(arguments.clone()).await;
        error_of(&result)["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(&server).await, "launch-failed");

    put(&server, "[[command]]\nname = \"sh\"\nargz = []\n");
    let line = server
        .process
        .wait_for_line("the change is not taken", PATIENCE)
        .await;
    assert!(
        line.contains("MCP_LAUNCH_POLICY") && line.contains("argz"),
        "{line}"
    );
    assert_eq!(code(&server).await, "launch-failed");

    put(
        &server,
        "[[command]]\nname = \"sh\"\nargs = [\"-c\", \"true\"]\n",
    );
    server
        .process
        .wait_for_line("MCP_LAUNCH_POLICY: in force", PATIENCE)
        .await;
    assert_eq!(code(&server).await, "launch-denied");
}

#[tokio::test]
async fn a_launch_is_logged_before_it_happens_with_its_caller_and_without_values() {
    let (key, line) = crate::keys::new_key(&[
        "--name",
        "ci-runner",
        "--scope",
        "servers:launch,tools:call",
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, line).unwrap();
    let policy = format!("{SHELL}env = [\"TOKEN\"]\n");
    let variables = [("MCP_API_KEYS_FILE", keys.to_str().unwrap())];
    let mut server = Server::with(&policy, &variables).await;
    let arguments = json!({
        "name": "x", "command": "sh", "args": ["-c", "exit 3", "hunter2-in-args"], "env": {"TOKEN": "hunter2-in-env"},
    });
    let bearer = format!("Bearer {key}");
    let body = crate::server::call(arguments);
    let answer = server
        .post("/message", &[("authorization", &bearer)], body)
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let line = server
        .process
        .wait_for_line("starting a program", PATIENCE)
        .await;
    assert!(
        line.contains("caller=\"ci-runner\"") && line.contains("command=\"sh\""),
        "{line}"
    );
    assert!(!server.process.printed("hunter2"));
}
