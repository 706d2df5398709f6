//! Which layers can be had here, found out by boxing in a process that does nothing else.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::layers::resources::Resources;
use crate::layers::{Confinement, Layer, Missing};
use crate::process::{boxed, cgroup, watch};

/// Longer than a start takes on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why it is not known what is missing.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// It may be known the next time.
    #[error("no process can be boxed in: {0}")]
    NoAnswer(String),
    /// A process that has to be boxed in like this ends instead.
    #[error("{0}")]
    Refused(String),
}

/// How long an answer holds. What the operator mends, or breaks, is known after that.
const HOLDS: Duration = Duration::from_secs(25);

/// The last answers. One holds for a while where the same is asked; a failure holds for those who waited for it, and the next
/// one who needs to know asks again.
#[derive(Default)]
pub(crate) struct Probe {
    kernel: Mutex<Option<Answer>>,
    /// The folder of cgroups in which a process could be moved last, and when.
    cgroup: Mutex<Option<(PathBuf, Instant)>>,
}

struct Answer {
    /// The confinement, as it was sent.
    asked: Vec<u8>,
    at: Instant,
    outcome: Result<Vec<Missing>, ProbeError>,
}

impl Probe {
    /// What of `confinement` can't be had, by the executable at `launcher`; the folder of cgroups is one that the policy
    /// names.
    pub(crate) async fn missing(
        &self,
        launcher: &Path,
        confinement: &Confinement,
        cgroup: Option<&Path>,
    ) -> Result<Vec<Missing>, ProbeError> {
        let mut missing = self.of_the_kernel(launcher, confinement).await?;
        if confinement.has(Layer::Watch)
            && let Some(why) = watch::lacks()
        {
            missing.push(Missing {
                layer: Layer::Watch,
                why,
            });
        }
        if confinement.has(Layer::Cgroup)
            && let Some(parent) = cgroup
            && let Some(why) = self
                .refused_by(launcher, parent, &confinement.resources)
                .await
        {
            missing.push(Missing {
                layer: Layer::Cgroup,
                why,
            });
        }
        Ok(missing)
    }

    /// Why no program can be moved into a cgroup below `parent`, found out by moving a process there.
    async fn refused_by(
        &self,
        launcher: &Path,
        parent: &Path,
        resources: &Resources,
    ) -> Option<String> {
        let mut last = self.cgroup.lock().await;
        if let Some((path, at)) = last.as_ref()
            && path == parent
            && at.elapsed() < HOLDS
        {
            return None;
        }
        *last = None;
        if let Some(why) = cgroup::lacks(parent) {
            return Some(why);
        }
        let idle = || idle(launcher);
        match timeout(PATIENCE, cgroup::try_out(parent, resources, idle)).await {
            Ok(Ok(())) => {
                *last = Some((parent.to_owned(), Instant::now()));
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("moving a process there does not end".into()),
        }
    }

    async fn of_the_kernel(
        &self,
        launcher: &Path,
        confinement: &Confinement,
    ) -> Result<Vec<Missing>, ProbeError> {
        let needed = Instant::now();
        let asked = Confinement {
            require: false,
            ..confinement.clone()
        };
        let asked = serde_json::to_vec(&asked).map_err(no_answer)?;
        let mut last = self.kernel.lock().await;
        if let Some(answer) = last.as_ref().filter(|answer| answer.asked == asked)
            && (answer.at >= needed || answer.outcome.is_ok() && answer.at.elapsed() < HOLDS)
        {
            return answer.outcome.clone();
        }
        let outcome = match timeout(PATIENCE, ask(launcher, &asked)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(no_answer("it does not end")),
        };
        *last = Some(Answer {
            asked,
            at: Instant::now(),
            outcome: outcome.clone(),
        });
        outcome
    }
}

fn no_answer(why: impl ToString) -> ProbeError {
    ProbeError::NoAnswer(why.to_string())
}

async fn ask(launcher: &Path, asked: &[u8]) -> Result<Vec<Missing>, ProbeError> {
    let text = run(launcher, asked).await.map_err(no_answer)?;
    let found: Result<Vec<Missing>, String> = serde_json::from_slice(&text).map_err(no_answer)?;
    found.map_err(ProbeError::Refused)
}

/// A process that waits for what it is to try.
fn idle(launcher: &Path) -> std::io::Result<Child> {
    Command::new(launcher)
        .arg0("mcp-box")
        .args([boxed::ARGUMENT, boxed::PROBE])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

async fn run(launcher: &Path, asked: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut child = idle(launcher)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(asked).await?;
    }
    Ok(child.wait_with_output().await?.stdout)
}
