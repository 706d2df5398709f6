//! The same start without a sandbox.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::time::Instant;

/// Starts `server`, asks it what `mcp-sandbox` asks, and waits for its end. How long all of that took.
pub(crate) async fn start(server: &Path) -> anyhow::Result<Duration> {
    let client = json!({"name": "bench", "version": "1"});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client});
    let requests = [
        json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": params}),
        json!({"jsonrpc": "2.0", "id": 3, "method": "tools/list"}),
    ];
    let began = Instant::now();
    let mut child = Command::new(server)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    let mut lines = BufReader::new(child.stdout.take().context("a pipe")?).lines();
    let mut last = Value::Null;
    for request in requests {
        stdin.write_all(format!("{request}\n").as_bytes()).await?;
        let line = lines.next_line().await?.context("it ended early")?;
        last = serde_json::from_str(&line)?;
    }
    drop(stdin);
    child.wait().await?;
    let took = began.elapsed();
    ensure!(last["result"]["tools"][0]["name"] == "add", "{last}");
    Ok(took)
}
