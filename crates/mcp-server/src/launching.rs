//! What `server_initialize` may start, how that is boxed in, and how changes of the policy are taken up.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_runtime::Conditions;
use mcp_runtime::vars::{ConfigError, Vars, invalid};
use mcp_sandbox::{Folders, LaunchPolicy, Layer, Missing, Mode, Sandbox};
use metrics::gauge;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::access::reload;
use crate::metric_definitions as metric;

/// How often it is looked anew which layers are missing: the operator may mend a cgroup, and a look may fail.
const LOOK: Duration = Duration::from_secs(30);

/// The variables of launching.
#[derive(Clone, Debug, Default)]
pub struct LaunchConfig {
    /// `MCP_LAUNCH_POLICY` or `MCP_ALLOWED_COMMANDS` (deny all).
    pub policy: LaunchPolicy,
    /// `MCP_SANDBOX` (best-effort): what happens where the kernel lacks a layer.
    pub mode: Mode,
    file: Option<PolicyFile>,
}

/// A policy that may change.
#[derive(Clone)]
struct PolicyFile {
    path: PathBuf,
    /// What it passes on to programs comes from here.
    vars: Vars,
}

impl fmt::Debug for PolicyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PolicyFile").field(&self.path).finish()
    }
}

impl PolicyFile {
    fn read(&self, text: &str) -> Result<LaunchPolicy, String> {
        let lookup = |name: &str| self.vars.get(name).map(str::to_owned);
        LaunchPolicy::from_text(&self.path, text, &lookup).map_err(|error| error.to_string())
    }
}

impl LaunchConfig {
    /// Reads and checks the variables; files and commands that a policy names are looked up here.
    ///
    /// # Errors
    /// The first variable that does not fit.
    pub(crate) fn from_vars(vars: &Vars) -> Result<Self, ConfigError> {
        let modes = [
            ("best-effort", Mode::BestEffort),
            ("require", Mode::Require),
        ];
        let mode = vars.choice("MCP_SANDBOX", Mode::BestEffort, &modes)?;
        let lookup = |name: &str| vars.get(name).map(str::to_owned);
        let commands = vars.list("MCP_ALLOWED_COMMANDS")?;
        let Some(path) = vars.path("MCP_LAUNCH_POLICY") else {
            let policy = if commands.is_empty() {
                LaunchPolicy::deny_all()
            } else {
                let folders = Folders {
                    env_dir: vars.path("MCP_ENV_DIR"),
                    work_dir: vars.path("MCP_WORK_DIR"),
                };
                LaunchPolicy::allow_commands(&commands, folders, &lookup).map_err(|error| {
                    let allowed = format!("programs that exist: {error}");
                    invalid("MCP_ALLOWED_COMMANDS", &commands.join(","), allowed)
                })?
            };
            return Ok(Self {
                policy,
                mode,
                file: None,
            });
        };
        let refused =
            |allowed: String| invalid("MCP_LAUNCH_POLICY", &path.to_string_lossy(), allowed);
        if !commands.is_empty() {
            return Err(refused(
                "the only one: MCP_ALLOWED_COMMANDS is set too; give one of them".into(),
            ));
        }
        let policy = LaunchPolicy::from_file(&path, &lookup)
            .map_err(|error| refused(format!("a policy file: {error}")))?;
        let vars = vars.clone();
        Ok(Self {
            policy,
            mode,
            file: Some(PolicyFile { path, vars }),
        })
    }

    /// The sandbox that these describe.
    pub(crate) fn sandbox(&self) -> Sandbox {
        Sandbox::new(self.policy.clone()).mode(self.mode)
    }

    /// Says which layers are missing, in the log and in `/ready`, and takes up changes of the policy until `stop`.
    pub(crate) async fn follow(
        &self,
        sandbox: &Sandbox,
        ready: &Conditions,
        stop: CancellationToken,
    ) {
        compare_memory(&sandbox.policy());
        let changed = Notify::new();
        let told = stop.run_until_cancelled(self.keep_telling(sandbox, ready, &changed));
        let Some(file) = self.file.clone() else {
            told.await;
            return;
        };
        let apply = |texts: &[String]| {
            let policy = file.read(&texts[0])?;
            let names: Vec<_> = policy.command_names().collect();
            let done = format!("in force, with the commands {names:?}");
            compare_memory(&policy);
            sandbox.replace_policy(policy);
            changed.notify_one();
            Ok(done)
        };
        let files = vec![file.path.clone()];
        let watch = reload::watch("MCP_LAUNCH_POLICY", files, apply, stop.clone());
        tokio::join!(told, watch);
    }

    /// Says which layers are missing, after each change and now and then: in the metrics, in `/ready`, and in the log if
    /// that is news.
    async fn keep_telling(&self, sandbox: &Sandbox, ready: &Conditions, changed: &Notify) {
        let notice = ready.notice("sandbox");
        let mut told = None;
        loop {
            let lacks = lacks(sandbox).await;
            measure(&lacks);
            let lacking = Lacking::of(lacks);
            match &lacking {
                Some(lacking) => notice.says(&lacking.text),
                None => notice.clear(),
            }
            if lacking != told {
                self.log(lacking.as_ref());
                told = lacking;
            }
            let _ = timeout(LOOK, changed.notified()).await;
        }
    }

    fn log(&self, lacking: Option<&Lacking>) {
        match (lacking, self.mode) {
            (None, _) => tracing::info!("programs are boxed in with nothing missing again"),
            (Some(lacking), Mode::Require) if lacking.is_a_loss => tracing::error!(
                "no program is started (MCP_SANDBOX=require), for this is missing: {}",
                lacking.text
            ),
            (Some(lacking), _) => {
                tracing::warn!("programs are boxed in without: {}", lacking.text);
            }
        }
    }
}

/// What is missing.
#[derive(PartialEq)]
struct Lacking {
    /// One sentence.
    text: String,
    /// Whether nothing makes up for some of it.
    is_a_loss: bool,
}

impl Lacking {
    fn of(lacks: Result<Vec<Missing>, String>) -> Option<Self> {
        match lacks {
            Ok(lacks) if lacks.is_empty() => None,
            Ok(lacks) => {
                let texts: Vec<_> = lacks.iter().map(ToString::to_string).collect();
                Some(Self {
                    text: texts.join("; "),
                    is_a_loss: lacks.iter().any(Missing::is_a_loss),
                })
            }
            Err(text) => Some(Self {
                text,
                is_a_loss: true,
            }),
        }
    }
}

/// Sets the metric of each layer.
fn measure(lacks: &Result<Vec<Missing>, String>) {
    for layer in Layer::ALL {
        let is_missing = match lacks {
            Ok(lacks) => lacks.iter().any(|missing| missing.layer == layer),
            Err(_) => true,
        };
        gauge!(metric::LAYER_MISSING, "layer" => layer.as_str()).set(f64::from(is_missing));
    }
}

/// The layers that are missing, or why no process can be boxed in at all.
async fn lacks(sandbox: &Sandbox) -> Result<Vec<Missing>, String> {
    let mut missing = sandbox.missing().await?;
    if sandbox.policy().command_names().next().is_none() {
        // Pictures are still checked in a box, by a process that starts no others: nothing is to be counted.
        missing.retain(Missing::is_a_loss);
    }
    Ok(missing)
}

/// Says so where programs together may have more memory than the container that this server is in.
fn compare_memory(policy: &LaunchPolicy) {
    let (Some(programs), Some(container)) = (policy.memory_bytes_in_all(), container_memory())
    else {
        return;
    };
    if programs > container {
        tracing::warn!(
            programs,
            container,
            "programs may have more memory together than there is: where they take it, the kernel ends one of them; lower \
             `memory_bytes` or `concurrency` in the launch policy, or give the container more"
        );
    }
}

/// The memory limit of the cgroup that this process is in, in bytes (cgroups(7), version 2).
fn container_memory() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let file = Path::new("/sys/fs/cgroup").join(own).join("memory.max");
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}
