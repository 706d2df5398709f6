//! Which layers can be had here, found out by boxing in a process that does nothing else.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::layers::{Confinement, Layer, Missing};
use crate::process::{boxed, cgroup};

/// Longer than a start takes on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// What of `confinement` can't be had, by the executable at `launcher`; the folder of cgroups is one that the policy names.
pub(crate) async fn missing(
    launcher: &Path,
    confinement: &Confinement,
    cgroup: Option<&Path>,
) -> Result<Vec<Missing>, String> {
    let asked = Confinement {
        require: false,
        ..confinement.clone()
    };
    let outcome = timeout(PATIENCE, run(launcher, &asked)).await;
    let text = match outcome {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(format!("no process can be boxed in: {error}")),
        Err(_) => return Err("no process can be boxed in: it does not end".into()),
    };
    let found: Result<Vec<Missing>, String> = serde_json::from_slice(&text)
        .map_err(|error| format!("no process can be boxed in: {error}"))?;
    let mut missing = found?;
    if let Some(why) = cgroup.and_then(cgroup::lacks) {
        missing.push(Missing {
            layer: Layer::Cgroup,
            why,
        });
    }
    Ok(missing)
}

async fn run(launcher: &Path, asked: &Confinement) -> std::io::Result<Vec<u8>> {
    let mut child = Command::new(launcher)
        .arg0("mcp-box")
        .args([boxed::ARGUMENT, boxed::PROBE])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&serde_json::to_vec(asked)?).await?;
    }
    Ok(child.wait_with_output().await?.stdout)
}
