//! A process of its own that launches, as this user or as one without rights.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mcp_sandbox::{Layer, Missing};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// A time that no launch of these tests needs.
const HANG: Duration = Duration::from_secs(120);
/// The user and group that nobody else is, here as in the product's image.
const NOBODY: u32 = 65_532;

/// Who launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Root: all that a container without `runAsUser` is.
    Root,
    /// A user without rights, as in production.
    Nobody,
}

impl Who {
    /// All that this test process can be: only root can be someone else.
    pub(crate) fn all() -> Vec<Self> {
        if rustix::process::geteuid().is_root() {
            vec![Self::Root, Self::Nobody]
        } else {
            vec![Self::Nobody]
        }
    }
}

/// A folder for such a process, and how it launches.
pub(crate) struct Launching {
    pub(crate) who: Who,
    pub(crate) policy: String,
    pub(crate) without: Vec<Layer>,
    pub(crate) require: bool,
    pub(crate) hide_landlock: bool,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) count: usize,
    folder: TempDir,
}

/// What such a process says at its end.
#[derive(Debug, Deserialize)]
pub(crate) struct Told {
    pub(crate) missing: Vec<Missing>,
    pub(crate) outcomes: Vec<Result<Value, (String, String)>>,
    pub(crate) files: (usize, usize),
    pub(crate) processes: usize,
    pub(crate) folders: usize,
}

impl Told {
    /// The result of the only launch.
    pub(crate) fn outcome(&self) -> Result<&Value, (&str, &str)> {
        let outcome = self.outcomes[0].as_ref();
        outcome.map_err(|(code, message)| (code.as_str(), message.as_str()))
    }

    /// The names of its tools: that is how the programs of these tests say what they found.
    pub(crate) fn tools(&self) -> Vec<String> {
        let result = self.outcome().expect("a result");
        let tools = result["tools"].as_array().expect("a list of tools");
        let names = tools.iter().map(|tool| tool["name"].as_str());
        names.map(|name| name.expect("a name").to_owned()).collect()
    }

    /// Nothing is left of anything that was launched.
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.processes, 0, "processes are left: {self:?}");
        assert_eq!(self.folders, 0, "folders are left: {self:?}");
        assert!(
            self.files.1 <= self.files.0,
            "files are left open: {:?}",
            self.files
        );
    }
}

impl Launching {
    /// One launch with every layer.
    pub(crate) fn new(who: Who, policy: &str) -> Self {
        let folder = TempDir::with_prefix("mcp-sandbox-test-").unwrap();
        let program = folder.path().join("launches");
        // A copy: where the tests are built, another user may not look. By a process of its own: what another test starts while
        // this one has the file open for writing would have it open, too, and nobody could execute it.
        let copied = std::process::Command::new("cp")
            .args([Path::new(env!("CARGO_BIN_EXE_launches")), &program])
            .status();
        assert!(copied.unwrap().success());
        let temporary = folder.path().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        if who == Who::Nobody && rustix::process::geteuid().is_root() {
            chown(&temporary, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Self {
            who,
            policy: policy.to_owned(),
            without: Vec::new(),
            require: false,
            hide_landlock: false,
            env: BTreeMap::new(),
            count: 1,
            folder,
        }
    }

    pub(crate) fn without(mut self, layer: Option<Layer>) -> Self {
        self.without.extend(layer);
        self
    }

    /// Allows the launching process itself as `own`: with the argument `serve` it is a small compiled MCP server.
    pub(crate) fn allow_own(mut self) -> Self {
        let own = self.program();
        self.policy += &format!("[[command]]\nname = \"own\"\npath = {own:?}\n");
        self
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("launches")
    }

    /// A file of the launching process that nobody else can read.
    pub(crate) fn secret_file(&self) -> PathBuf {
        let path = self.folder.path().join("secret");
        if !path.exists() {
            std::fs::write(&path, "hunter2").unwrap();
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, private).unwrap();
            if self.who == Who::Nobody && rustix::process::geteuid().is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        path
    }

    /// Launches `command` with `args`, in which `$SERVER` stands for the launching process.
    pub(crate) async fn run(&self, command: &str, args: &[&str]) -> Told {
        let order = json!({
            "policy": self.policy, "without": self.without, "require": self.require, "command": command, "args": args,
            "hide_landlock": self.hide_landlock, "env": self.env, "count": self.count,
        });
        let mut program = Command::new(self.program());
        if self.who == Who::Nobody && rustix::process::geteuid().is_root() {
            program = Command::new("setpriv");
            program
                .args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")])
                .args(["--clear-groups", "--no-new-privs", "--bounding-set=-all"])
                .arg(self.program());
        }
        let mut child = program
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env("SECRET_OF_THE_SERVER", "hunter2hunter2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(order.to_string().as_bytes()).await.unwrap();
        drop(stdin);
        let ended = timeout(HANG, child.wait_with_output()).await;
        let output = ended.expect("it must end").unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
