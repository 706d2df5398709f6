//! The server's side of a running program: its pipes, and the task that sees to its end.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::cgroup::Cgroup;
use super::launcher::ARGUMENT;
use super::messages::{self, Order, Report};
use super::orphans;
use super::scratch;
use crate::layers::Confinement;
use crate::masking::Mask;
use crate::permits::Permit;
use crate::policy::Launch;

/// A program that gets the end of its input may take this long to end by itself (MCP, stdio, shutdown).
const POLITE: Duration = Duration::from_secs(1);
/// The launcher's own time for stopping, and some.
const LAUNCHER: Duration = Duration::from_secs(8);
/// For ending what a killed launcher left.
const SWEEP: Duration = Duration::from_secs(5);
/// Longest report, in bytes.
const REPORT_MAX: u64 = 4_096;

/// A program under way. Dropping it stops the program; the clean-up goes on in the tracker that it was started with.
pub(crate) struct Running {
    /// The program's standard input.
    pub(crate) stdin: pipe::Sender,
    /// The program's standard output.
    pub(crate) stdout: ChildStdout,
    stderr: JoinHandle<Tail>,
    ended: oneshot::Receiver<Report>,
    stop: DropGuard,
}

impl Running {
    /// Starts the launcher at `executable`, and with it what `launch` names. `permit` is held until nothing is left.
    pub(crate) async fn start(
        executable: &Path,
        name: &str,
        launch: &Launch,
        confinement: Confinement,
        tracker: &TaskTracker,
        permit: Arc<Permit>,
    ) -> io::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("mcp-launch-").tempdir()?;
        let (ours, theirs) = StdUnixStream::pair()?;
        let (stdin_read, stdin_write) = io::pipe()?;
        let mut command = Command::new(executable);
        command
            .arg0("mcp-launch")
            .args([ARGUMENT, name])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = orphans::register(|| command.spawn(), Child::id)?;
        // From here on it is removed as what it is: full of whatever the program has left.
        let scratch = scratch.keep();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both were asked for as pipes");
        };
        let stop = CancellationToken::new();
        let (report, ended) = oneshot::channel();
        ours.set_nonblocking(true)?;
        let control = UnixStream::from_std(ours)?;
        let order = order(launch, confinement, scratch.clone());
        let guard = Guard {
            child,
            cgroup: order.cgroup.clone(),
            scratch,
            permit,
            stop: stop.clone(),
            report,
        };
        tracker.spawn(guard.run(control, stdin_read.into(), order));
        let stderr = tracker.spawn(Tail::read(stderr, launch.limits.stderr_bytes));
        Ok(Self {
            stdin: pipe::Sender::from_owned_fd(stdin_write.into())?,
            stdout,
            stderr,
            ended,
            stop: stop.drop_guard(),
        })
    }

    /// Ends the input, gives the program a moment to end by itself, ends it otherwise, and waits until nothing of it
    /// is left.
    pub(crate) async fn close(self) {
        let Self {
            stdin,
            stdout,
            stderr: _,
            mut ended,
            stop,
        } = self;
        drop(stdin);
        // Kept open: a program that says goodbye must not die of a closed pipe. What it says is not read, and if that
        // fills the pipe, the time is up for it.
        let polite = timeout(POLITE, &mut ended).await;
        drop(stop);
        if polite.is_err() {
            let _ = ended.await;
        }
        drop(stdout);
    }

    /// Stops the program at once and waits until nothing of it is left. How it ended, and the end of what it wrote to
    /// its standard error.
    pub(crate) async fn stop(self) -> (Report, Tail) {
        let Self {
            stdin,
            stdout,
            stderr,
            ended,
            stop,
        } = self;
        drop(stop);
        let report = ended.await.unwrap_or(Report::Stopped);
        drop((stdin, stdout));
        (report, Tail::wait(stderr).await)
    }

    /// As [`Running::stop`] for a program whose output has ended: it is most likely ending by itself, and then how it
    /// did says more than that it was stopped.
    pub(crate) async fn ended(mut self) -> (Report, Tail) {
        match timeout(POLITE, &mut self.ended).await {
            Ok(report) => (
                report.unwrap_or(Report::Stopped),
                Tail::wait(self.stderr).await,
            ),
            Err(_) => self.stop().await,
        }
    }
}

fn order(launch: &Launch, mut confinement: Confinement, scratch: PathBuf) -> Order {
    confinement.reach.write.push(scratch.clone());
    let mut env = launch.env.clone();
    let private = scratch.to_string_lossy().into_owned();
    for name in ["HOME", "TMPDIR"] {
        env.entry(name.to_owned())
            .or_insert_with(|| private.clone().into());
    }
    Order {
        program: launch.program.clone(),
        args: launch.args.clone(),
        env,
        dir: launch.dir.clone().unwrap_or_else(|| scratch.clone()),
        confinement,
        cgroup: cgroup_of(launch, &scratch),
        scratch,
    }
}

/// The program's own cgroup. It has the private folder's name, which nobody else has: neither another server beside this
/// one nor, where both share the folder above, one in another container.
fn cgroup_of(launch: &Launch, scratch: &Path) -> Option<PathBuf> {
    Some(launch.cgroup.as_deref()?.join(scratch.file_name()?))
}

/// Sees a launcher to its end.
struct Guard {
    child: Child,
    cgroup: Option<PathBuf>,
    scratch: PathBuf,
    permit: Arc<Permit>,
    stop: CancellationToken,
    report: oneshot::Sender<Report>,
}

impl Guard {
    async fn run(mut self, mut control: UnixStream, stdin: OwnedFd, order: Order) {
        let pid = self.child.id();
        let sent = tokio::select! {
            sent = send_order(&mut control, stdin, &order) => sent,
            () = self.stop.cancelled() => Ok(()),
        };
        drop(order);
        let mut status = None;
        if sent.is_ok() {
            tokio::select! {
                ended = self.child.wait() => status = Some(ended),
                () = self.stop.cancelled() => {}
            }
        }
        if status.is_none() {
            let _ = control.shutdown().await;
            status = timeout(LAUNCHER, self.child.wait()).await.ok();
        }
        if status.is_none() {
            // It was stopped or is stuck. What it leaves behind becomes ours.
            let _ = self.child.kill().await;
        }
        let clean = matches!(&status, Some(Ok(status)) if status.success());
        if let Some(pid) = pid {
            orphans::unregister(pid);
        }
        let mut all_gone = clean;
        if !clean {
            tracing::warn!(?status, "a launcher did not end well: ending what it left");
            let cgroup = self.cgroup.take().map(Cgroup::left);
            if let Some(cgroup) = &cgroup {
                cgroup.kill();
            }
            all_gone = orphans::sweep(Instant::now() + SWEEP).await;
        }
        let mut text = Vec::new();
        let _ = (&mut control).take(REPORT_MAX).read_to_end(&mut text).await;
        let report = match (serde_json::from_slice(&text), sent) {
            (Ok(report), _) => report,
            (Err(_), Err(error)) => Report::NotStarted(format!("the launcher failed: {error}")),
            (Err(_), Ok(())) if clean => Report::Stopped,
            (Err(_), Ok(())) => Report::NotStarted("its launcher was ended from outside".into()),
        };
        if all_gone {
            // Most times the launcher has removed it; then this finds nothing.
            let scratch = self.scratch;
            let removed = tokio::task::spawn_blocking(move || scratch::remove(&scratch)).await;
            if let Ok(Err(error)) = removed {
                tracing::error!(%error, "a program's private folder can't be removed");
            }
        }
        drop(self.permit);
        let _ = self.report.send(report);
    }
}

async fn send_order(control: &mut UnixStream, stdin: OwnedFd, order: &Order) -> io::Result<()> {
    control.writable().await?;
    messages::send_stdin(&*control, stdin.as_fd())?;
    drop(stdin);
    control.write_all(&messages::encode(order)?).await
}

/// The last bytes of what a program wrote to its standard error.
#[derive(Default)]
pub(crate) struct Tail {
    bytes: VecDeque<u8>,
    cut: bool,
}

impl Tail {
    /// Reads `stream` to its end, so that the program never waits for its standard error to be read, and keeps `max`
    /// bytes.
    async fn read(mut stream: ChildStderr, max: usize) -> Self {
        let mut tail = Self::default();
        let mut buffer = vec![0; 8_192];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            tail.bytes.extend(&buffer[..count]);
            let surplus = tail.bytes.len().saturating_sub(max);
            tail.bytes.drain(..surplus);
            tail.cut |= surplus > 0;
        }
        tail
    }

    /// The tail of a program that is gone. Its end of the pipe is closed, so this waits for what is still in it.
    async fn wait(stderr: JoinHandle<Self>) -> Self {
        match timeout(POLITE, stderr).await {
            Ok(Ok(tail)) => tail,
            Ok(Err(_)) | Err(_) => Self::default(),
        }
    }

    /// As text, without the values that `mask` hides.
    pub(crate) fn text(&self, mask: &Mask) -> String {
        let (front, back) = self.bytes.as_slices();
        let text = String::from_utf8_lossy(&[front, back].concat()).into_owned();
        mask.apply_to_tail(text.trim(), self.cut)
    }
}
