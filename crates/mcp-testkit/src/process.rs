//! Programs of the workspace, run the way their users run them.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::{eventually, leash::Leash, output::Output};

/// The path of a binary that this workspace builds, from within any of its tests. Inside the crate that owns the binary,
/// `env!("CARGO_BIN_EXE_…")` is better: cargo builds that one first.
///
/// # Panics
///
/// When it has not been built: `cargo test --workspace` builds all.
pub fn workspace_binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let path = test
        .ancestors()
        .nth(2)
        .expect("tests lie in target/<profile>/deps")
        .join(name);
    assert!(
        path.exists(),
        "{} is missing: run cargo build -p {name}",
        path.display()
    );
    path
}

/// A program to be started. Its environment holds nothing but `PATH` and what [`env`](ProcessBuilder::env) adds.
pub struct ProcessBuilder {
    name: String,
    command: Command,
    folder: Option<PathBuf>,
}

impl ProcessBuilder {
    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.command.arg(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.command.args(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.command.env(name, value.to_string());
        self
    }

    /// Sets variables.
    pub fn envs<K: AsRef<str>, V: ToString>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        for (name, value) in variables {
            self.command.env(name.as_ref(), value.to_string());
        }
        self
    }

    /// Runs it in this folder.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// How panic messages call it, when several of its kind run.
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Removes this folder when the test process ends, for owners that are never dropped.
    pub(crate) fn owning(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Starts it, with nothing on its standard input.
    pub fn start(mut self) -> Process {
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.name));
        let leash = Leash::on(&child, self.folder.as_deref()).expect("a shell starts");
        Process {
            name: self.name,
            output: Output::of(&mut child),
            child,
            leash: Some(leash),
            status: None,
        }
    }
}

/// A running program. It is killed when this is dropped, and when the test process ends.
pub struct Process {
    name: String,
    child: Child,
    leash: Option<Leash>,
    output: Output,
    status: Option<ExitStatus>,
}

impl Process {
    /// A program to start: a path, or a name to look up in `PATH`.
    pub fn builder(program: impl AsRef<Path>) -> ProcessBuilder {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        ProcessBuilder {
            name: program
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            command,
            folder: None,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed so far, on both streams, line by line.
    pub fn output(&self) -> Vec<String> {
        self.output.lines()
    }

    /// Waits until `GET {admin_url}/ready` answers 200.
    ///
    /// # Panics
    ///
    /// When the program ends before that, or `within` passes; with what it printed.
    pub async fn wait_ready(&mut self, admin_url: &str, within: Duration) {
        let url = format!("{}/ready", admin_url.trim_end_matches('/'));
        let client = reqwest::Client::new();
        let ready = eventually(within, async || {
            if let Some(status) = self.exited() {
                return Ok(Err(status));
            }
            let answer = match client.get(&url).send().await {
                Ok(response) if response.status().is_success() => return Ok(Ok(())),
                Ok(response) => response.status().to_string(),
                Err(error) => error.to_string(),
            };
            Err(self.describe(&format!("{url} answers: {answer}")))
        })
        .await;
        if let Err(status) = ready {
            panic!("{}", self.describe(&format!("it ended with {status}")));
        }
    }

    /// Waits until a line that it printed contains `part`, and returns that line.
    pub async fn wait_for_line(&mut self, part: &str, within: Duration) -> String {
        eventually(within, async || {
            let found = self.output().into_iter().find(|line| line.contains(part));
            found.ok_or_else(|| self.describe(&format!("it did not print {part:?}")))
        })
        .await
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() && self.has_ended() {
            self.reap();
        }
        self.status
    }

    /// Waits until it ends by itself.
    pub async fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        eventually(within, async || {
            self.exited().ok_or_else(|| self.describe("it still runs"))
        })
        .await
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.reap();
    }

    /// Lets the leash act as if the test process had ended: for the kit's own tests.
    #[doc(hidden)]
    pub fn cut_leash(&mut self) {
        if let Some(leash) = &mut self.leash {
            leash.cut();
        }
    }

    /// SIGTERM: the polite request of an orchestrator. See [`wait_exit`](Process::wait_exit).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGINT: Ctrl-C.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// SIGSTOP: it stands still, holding its connections, until [`resume`](Process::resume).
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether a line that it printed contains `part`.
    pub fn printed(&self, part: &str) -> bool {
        self.output.contains(part)
    }

    fn signal(&self, signal: Signal) {
        // Until it is reaped its id cannot be another's.
        if self.status.is_none() {
            let id = Pid::from_child(&self.child);
            kill_process(id, signal).expect("an unreaped child takes signals");
        }
    }

    /// Whether it has ended, leaving it unreaped: the leash must go first.
    fn has_ended(&self) -> bool {
        let id = WaitId::Pid(Pid::from_child(&self.child));
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        !matches!(waitid(id, options), Ok(None))
    }

    fn reap(&mut self) {
        if self.status.is_none() {
            self.leash = None;
            self.status = Some(self.child.wait().expect("a child can be waited for"));
        }
    }

    pub(crate) fn describe(&self, what: &str) -> String {
        format!("{}: {what}; it printed:\n{}", self.name, self.output.tail())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}
