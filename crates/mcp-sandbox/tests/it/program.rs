//! Python programs as MCP servers, and a look at what is left of them.

use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use mcp_core::{Failure, ServerInitializeResult, StdioServer};
use mcp_sandbox::{LaunchPolicy, Sandbox};
use tokio::time::Instant;

/// A server of the legacy era that answers `initialize` and `tools/list`; `{}` stands for lines that run first.
pub(crate) const LEGACY: &str = r#"
import json, os, sys, time, signal, subprocess
def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
def tool(name):
    return {"name": name, "description": "does " + name, "inputSchema": {"type": "object"}}
def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": True}, "x": {"y": 1}},
                "serverInfo": {"name": "legacy", "version": "1.2"}}
    if method == "tools/list":
        return {"tools": [tool("echo")]}
def serve():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        result = answer(message["method"], message.get("params", {}))
        if result is None:
            send({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "Method not found"}})
        else:
            send({"jsonrpc": "2.0", "id": message["id"], "result": result})
"#;

/// A sandbox that may start `python3`, with the launcher of this crate.
pub(crate) fn sandbox(policy: &str) -> Sandbox {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    // The system's own, where it is: a version manager's stand-in adds variables.
    let system = Path::new("/usr/bin/python3");
    let path = if system.exists() {
        format!("path = {system:?}")
    } else {
        String::new()
    };
    let text = format!("{policy}\n[[command]]\nname = \"python3\"\nenv = [\"*\"]\n{path}\n");
    std::fs::write(&file, text).unwrap();
    let lookup = |name: &str| std::env::var(name).ok();
    let policy = LaunchPolicy::from_file(&file, &lookup).unwrap();
    Sandbox::with_launcher(policy, env!("CARGO_BIN_EXE_mcp-sandbox").into())
}

/// A Python program with a mark of its own in its arguments, by which it and all its forks are found.
pub(crate) struct Program {
    pub(crate) server: StdioServer,
    mark: String,
}

impl Program {
    /// A program that runs `code`.
    pub(crate) fn new(code: &str) -> Self {
        let mark = format!("mark-{}", tempfile_name());
        Self {
            server: StdioServer {
                command: "python3".into(),
                args: vec!["-c".into(), code.into(), mark.clone()],
                env: IndexMap::new(),
                env_file: None,
            },
            mark,
        }
    }

    /// A well-behaved legacy server, with `code` between its definitions and the call of `serve()` that `code` makes.
    pub(crate) fn legacy(code: &str) -> Self {
        Self::new(&format!("{LEGACY}\n{code}"))
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.server.env.insert(name.into(), value.to_owned().into());
        self
    }

    pub(crate) async fn run(&self, sandbox: &Sandbox) -> Result<ServerInitializeResult, Failure> {
        sandbox.initialize("tester", "tested", &self.server).await
    }

    /// The processes of this program that exist, its launcher's not included.
    pub(crate) fn processes(&self) -> Vec<u32> {
        processes_with(&self.mark)
    }

    pub(crate) fn assert_gone(&self) {
        assert_eq!(
            self.processes(),
            [] as [u32; 0],
            "processes are left behind"
        );
    }
}

/// The processes in whose arguments `mark` stands.
pub(crate) fn processes_with(mark: &str) -> Vec<u32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let arguments = std::fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&arguments)
                .contains(mark)
                .then_some(pid)
        })
        .collect()
}

/// Waits until `done` holds.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn tempfile_name() -> String {
    let path = tempfile::Builder::new().tempfile().unwrap();
    path.path()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned()
}
