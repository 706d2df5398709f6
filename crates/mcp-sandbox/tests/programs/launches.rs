//! A process that launches programs as a server does, for tests that look at a whole process or need one that is another
//! user. It reads an order from standard input, writes what came of it to standard output, and is its own launcher.
//!
//! With the argument `serve` it is a small compiled MCP server instead.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use mcp_core::StdioServer;
use mcp_sandbox::{LaunchPolicy, Layer, Missing, Mode, Sandbox};
use seccompiler::{SeccompAction, SeccompFilter, TargetArch, apply_filter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

#[derive(Deserialize)]
struct Order {
    /// The policy's text.
    policy: String,
    /// Layers to leave out.
    without: Vec<Layer>,
    require: bool,
    /// Whether to be on a kernel without Landlock, as far as a process can tell.
    hide_landlock: bool,
    command: String,
    /// `$SERVER` in it is this process's id.
    args: Vec<String>,
    env: BTreeMap<String, String>,
    /// How many launches.
    count: usize,
}

#[derive(Serialize)]
struct Told {
    missing: Vec<Missing>,
    /// The result of each launch, or its failure's code and message.
    outcomes: Vec<Result<Value, (String, String)>>,
    /// Open files before the first launch, and after the last.
    files: (usize, usize),
    /// Processes below this one when all is over.
    processes: usize,
    /// What is left in the folder of temporary files.
    folders: usize,
}

fn main() -> ExitCode {
    mcp_sandbox::launcher::run_if_requested();
    let outcome = if std::env::args().nth(1).as_deref() == Some("serve") {
        serve()
    } else {
        launch_all()
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn launch_all() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let order: Order = serde_json::from_str(&text)?;
    if order.hide_landlock {
        hide_landlock().map_err(io::Error::other)?;
    }
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(launch(order))
}

/// Before any other thread exists: it holds for the threads and processes that this one starts.
fn hide_landlock() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let rules = [(libc::SYS_landlock_create_ruleset, Vec::new())];
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let filter = SeccompFilter::new(rules.into(), SeccompAction::Allow, unknown, arch)?;
    let program: seccompiler::BpfProgram = filter.try_into()?;
    Ok(apply_filter(&program)?)
}

async fn launch(order: Order) -> io::Result<()> {
    let lookup = |name: &str| std::env::var(name).ok();
    let policy = LaunchPolicy::from_text(Path::new("policy.toml"), &order.policy, &lookup)
        .map_err(io::Error::other)?;
    let mode = if order.require {
        Mode::Require
    } else {
        Mode::BestEffort
    };
    let mut sandbox = Sandbox::new(policy).mode(mode);
    for layer in order.without {
        sandbox = sandbox.without(layer);
    }
    let missing = sandbox.missing().await.map_err(io::Error::other)?.to_vec();
    let own = std::process::id().to_string();
    let args = order.args.iter().map(|arg| arg.replace("$SERVER", &own));
    let env = order.env.into_iter();
    let server = StdioServer {
        command: order.command,
        args: args.collect(),
        env: env.map(|(name, value)| (name, value.into())).collect(),
        env_file: None,
    };
    // The runtime's own files are open from the first child on.
    let files_before = count("/proc/self/fd")?;
    let mut launches = JoinSet::new();
    for number in 0..order.count {
        let (sandbox, server) = (sandbox.clone(), server.clone());
        launches.spawn(async move {
            let name = format!("number {number}");
            loop {
                match sandbox.initialize("tester", &name, &server).await {
                    // More are asked for than may run at once.
                    Err(failure) if failure.code == mcp_core::ErrorCode::LaunchBusy => {}
                    Err(failure) => {
                        return Err((failure.code.to_string(), failure.message));
                    }
                    Ok(result) => return Ok(json!(result)),
                }
            }
        });
    }
    let outcomes = launches.join_all().await;
    sandbox.drained().await;
    let told = Told {
        missing,
        outcomes,
        files: (files_before, count("/proc/self/fd")?),
        processes: children(&own)?,
        folders: count(&std::env::temp_dir().to_string_lossy())?,
    };
    io::stdout().write_all(&serde_json::to_vec(&told)?)
}

fn count(folder: &str) -> io::Result<usize> {
    Ok(std::fs::read_dir(folder)?.count())
}

/// How many processes have `own` as their parent.
fn children(own: &str) -> io::Result<usize> {
    let mut found = 0;
    for entry in std::fs::read_dir("/proc")? {
        let status = std::fs::read_to_string(entry?.path().join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        found += usize::from(parent.is_some_and(|parent| parent.trim() == own));
    }
    Ok(found)
}

fn serve() -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let result = match request["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "compiled", "version": "1"},
            }),
            Some("tools/list") => {
                json!({"tools": [{"name": "add", "inputSchema": {"type": "object"}}]})
            }
            _ => Value::Null,
        };
        let Some(id) = request.get("id") else {
            continue;
        };
        let answer = if result.is_null() {
            let error = json!({"code": -32601, "message": "Method not found"});
            json!({"jsonrpc": "2.0", "id": id, "error": error})
        } else {
            json!({"jsonrpc": "2.0", "id": id, "result": result})
        };
        writeln!(io::stdout(), "{answer}")?;
    }
    Ok(())
}
