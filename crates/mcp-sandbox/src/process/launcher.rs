//! The launcher process. It has one thread, no environment and no configuration: it does what the order says.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio, exit};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process_group, set_child_subreaper, setsid,
    wait,
};
use rustix::thread::set_no_new_privs;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::cgroup::Cgroup;
use super::messages::{self, Order, Report};
use super::{boxed, scratch, tree, watch};
use crate::layers::{self, Layer};

/// The hidden first argument that makes an executable the launcher.
pub(crate) const ARGUMENT: &str = "__launch";

/// From the polite signal to SIGKILL, when the server wants the program gone.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// The same for what a program leaves when it ends by itself.
const LEFTOVER_GRACE: Duration = Duration::from_millis(200);
/// After this much time processes that survive SIGKILL (in the kernel's hands) are left to the server's report.
const GIVE_UP: Duration = Duration::from_secs(5);
/// How often the tree is looked at while it is being ended.
const PAUSE: Duration = Duration::from_millis(10);
/// How often the number and the memory of all processes are looked at. Most handshakes are over before the first look.
const LOOK: Duration = Duration::from_millis(50);
/// Longest error of a box, in bytes.
const ERROR_MAX: u64 = 2_048;

/// Becomes the launcher, or the program that the launcher starts, and never returns, if this process was started as one.
/// Call it first thing in `main`, before any thread or runtime is started.
pub fn run_if_requested() {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == ARGUMENT => exit(match run() {
            Ok(()) => 0,
            Err(_) => 70,
        }),
        Some(first) if first == boxed::ARGUMENT => boxed::run(arguments.next().as_deref()),
        _ => {}
    }
}

fn run() -> io::Result<()> {
    close_inherited();
    // Fails only for a process that leads a group already, which a fresh child does not.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    set_no_new_privs(true)?;
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let stdin = messages::receive_stdin(&control)?;
    let order = serde_json::from_slice(&messages::receive_text(&mut control)?)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(supervise(control, stdin, order))
}

/// Closes what the server itself inherited without knowing, so that no program gets hold of it.
pub(crate) fn close_inherited() {
    let Ok(directory) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<i32> = directory
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // Nothing in this process owns any of them yet. The one that listed the directory is closed already.
        let _ = nix::unistd::close(fd);
    }
}

async fn supervise(control: UnixStream, stdin: OwnedFd, mut order: Order) -> io::Result<()> {
    let mut reports = control.try_clone()?;
    control.set_nonblocking(true)?;
    let mut control = tokio::net::UnixStream::from_std(control)?;
    // Before the program starts, so that no end of a child is missed.
    let mut child_ended = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let cgroup = cgroup(&mut order);
    let resources = &order.confinement.resources;
    let mut looks = interval_at(Instant::now() + LOOK, LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let started = cgroup.and_then(|cgroup| Ok((start(&order, stdin)?, cgroup)));
    let (mut cgroup, mut group) = (None, None);
    let report = match started {
        Err(error) => Report::NotStarted(error.to_string()),
        Ok((program, own)) => {
            cgroup = own;
            group = Some(program.pid);
            let mut byte = [0_u8; 1];
            loop {
                tokio::select! {
                    _ = child_ended.recv() => {
                        if let Some(report) = reap(&program) {
                            break report;
                        }
                    }
                    // The server sends nothing more: this is the end of the stream, or an error that means the same.
                    _ = control.read(&mut byte) => break Report::Stopped,
                    _ = terminate.recv() => break Report::Stopped,
                    _ = interrupt.recv() => break Report::Stopped,
                    _ = hangup.recv() => break Report::Stopped,
                    _ = looks.tick(), if order.confinement.has(Layer::Watch) => {
                        if let Some(what) = watch::excess(getpid(), resources) {
                            break Report::Exceeded(what);
                        }
                    }
                }
            }
        }
    };
    let report = match report {
        Report::Exited(_) | Report::Signalled(_)
            if cgroup.as_ref().is_some_and(Cgroup::ran_out_of_memory) =>
        {
            Report::Exceeded(watch::too_much_memory(resources.memory_bytes))
        }
        report => report,
    };
    let grace = match report {
        Report::Stopped => STOP_GRACE,
        Report::NotStarted(_) | Report::Exited(_) | Report::Signalled(_) => LEFTOVER_GRACE,
        Report::Exceeded(_) => Duration::ZERO,
    };
    let all_gone = end_all(grace, group, cgroup.as_ref(), &mut child_ended).await;
    drop(cgroup);
    // Cleared away before the report: who has read it finds nothing left. It may be gone, or the server may be.
    if all_gone {
        let _ = scratch::remove(&order.scratch);
    }
    reports.set_nonblocking(false)?;
    let _ = reports.write_all(&serde_json::to_vec(&report)?);
    if all_gone {
        Ok(())
    } else {
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Makes the program's cgroup, where the operator has named a folder for it.
fn cgroup(order: &mut Order) -> io::Result<Option<Cgroup>> {
    let has = order.confinement.has(Layer::Cgroup);
    let Some(path) = order.cgroup.take().filter(|_| has) else {
        return Ok(None);
    };
    match Cgroup::make(path.clone(), &order.confinement.resources) {
        Ok(cgroup) => {
            order.cgroup = Some(path);
            Ok(Some(cgroup))
        }
        Err(error) if order.confinement.require => Err(error),
        // The server says so.
        Err(_) => Ok(None),
    }
}

/// What this process has started to become the program.
struct Program {
    pid: Pid,
    /// Where it says why it could not; closed without a word when it has.
    control: UnixStream,
}

fn start(order: &Order, stdin: OwnedFd) -> io::Result<Program> {
    if let Some(user) = order.confinement.run_as
        && layers::is_root()
    {
        chown(&order.scratch, Some(user.uid), Some(user.gid))?;
    }
    let (control, theirs) = UnixStream::pair()?;
    let child = Command::new("/proc/self/exe")
        .arg0("mcp-box")
        .args([boxed::ARGUMENT, &getpid().as_raw_pid().to_string()])
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()?;
    // Standard output and error are the program's alone from here on, but this process keeps copies: they close when
    // it ends, which is right after the program.
    let program = Program {
        pid: Pid::from_child(&child),
        control,
    };
    // If it ended before it has read all, the reason stands on the socket.
    let _ = messages::send(&program.control, stdin.as_fd(), order);
    Ok(program)
}

/// Reaps all children that have ended; how `program` ended, if it is among them.
fn reap(program: &Program) -> Option<Report> {
    let mut report = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == program.pid {
            report = Some(how(status));
        }
    }
    match report {
        Some(Report::Exited(boxed::EMPTY)) => {
            let mut error = String::new();
            let socket = &program.control;
            let _ = socket.take(ERROR_MAX).read_to_string(&mut error);
            if error.is_empty() {
                report
            } else {
                Some(Report::NotStarted(error))
            }
        }
        report => report,
    }
}

fn how(status: WaitStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, Some(signal)) => Report::Signalled(signal),
        (None, None) => Report::Stopped,
    }
}

/// Ends everything below this process: SIGTERM, then SIGKILL after `grace`. Whether all of it is gone. `group` is that of the
/// program, which leads it and can't leave it: what is in there is ended whether `/proc` shows it or not.
async fn end_all(
    grace: Duration,
    group: Option<Pid>,
    cgroup: Option<&Cgroup>,
    child_ended: &mut tokio::signal::unix::Signal,
) -> bool {
    let start = Instant::now();
    let mut asked = Vec::new();
    loop {
        // What has lost its parent below this process is its child: without a child there is nothing left, and whatever
        // else can or can't be read, only that says so.
        let has_children = loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break true,
                Err(error) => break error != Errno::CHILD,
            }
        };
        if !has_children {
            return true;
        }
        let all = tree::processes().unwrap_or_default();
        let left = tree::descendants(&all, getpid());
        let waited = start.elapsed();
        if waited >= GIVE_UP {
            return false;
        }
        if waited >= grace {
            if let Some(cgroup) = cgroup {
                cgroup.kill();
            }
            if let Some(group) = group {
                // Fails where nobody is left in it.
                let _ = kill_process_group(group, Signal::KILL);
            }
            tree::kill_groups(&all, &left, getpid());
            tree::signal_all(&left, Signal::KILL);
        } else {
            // Each is asked once: programs take a second SIGTERM for impatience.
            let new: Vec<_> = left
                .into_iter()
                .filter(|pid| !asked.contains(pid))
                .collect();
            tree::signal_all(&new, Signal::TERM);
            asked.extend(new);
        }
        let _ = timeout(PAUSE, child_ended.recv()).await;
    }
}
