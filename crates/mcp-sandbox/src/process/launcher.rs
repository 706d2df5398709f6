//! The launcher process. It has one thread, no environment and no configuration: it does what the order says.

use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio, exit};
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, set_child_subreaper, setsid, wait,
};
use rustix::thread::set_no_new_privs;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout};

use super::messages::{ORDER_MAX, Order, Report};
use super::tree;

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

/// Becomes the launcher and never returns, if this process was started as one. Call it first thing in `main`, before
/// any thread or runtime is started.
pub fn run_if_requested() {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|arg| arg == ARGUMENT)
    {
        exit(match run() {
            Ok(()) => 0,
            Err(_) => 70,
        });
    }
}

fn run() -> io::Result<()> {
    close_inherited();
    // Fails only for a process that leads a group already, which a fresh child does not.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    set_no_new_privs(true)?;
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let stdin = receive_stdin(&control)?;
    let order = receive_order(&mut control)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(supervise(control, stdin, order))
}

/// Closes what the server itself inherited without knowing, so that no program gets hold of it.
fn close_inherited() {
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

fn receive_stdin(control: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8; 1];
    recvmsg(
        control,
        &mut [io::IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message
            && let Some(fd) = fds.next()
        {
            return Ok(fd);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn receive_order(control: &mut UnixStream) -> io::Result<Order> {
    let mut length = [0_u8; 4];
    control.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > ORDER_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length];
    control.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

async fn supervise(control: UnixStream, stdin: OwnedFd, order: Order) -> io::Result<()> {
    let mut reports = control.try_clone()?;
    control.set_nonblocking(true)?;
    let mut control = tokio::net::UnixStream::from_std(control)?;
    // Before the program starts, so that no end of a child is missed.
    let mut child_ended = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let report = match start(&order, stdin) {
        Err(error) => Report::NotStarted(error.to_string()),
        Ok(program) => {
            let mut byte = [0_u8; 1];
            loop {
                tokio::select! {
                    _ = child_ended.recv() => {
                        if let Some(report) = reap(program) {
                            break report;
                        }
                    }
                    // The server sends nothing more: this is the end of the stream, or an error that means the same.
                    _ = control.read(&mut byte) => break Report::Stopped,
                    _ = terminate.recv() => break Report::Stopped,
                    _ = interrupt.recv() => break Report::Stopped,
                    _ = hangup.recv() => break Report::Stopped,
                }
            }
        }
    };
    let grace = match report {
        Report::Stopped => STOP_GRACE,
        Report::NotStarted(_) | Report::Exited(_) | Report::Signalled(_) => LEFTOVER_GRACE,
    };
    let all_gone = end_all(grace, &mut child_ended).await;
    // Cleared away before the report: who has read it finds nothing left. It may be gone, or the server may be.
    let _ = std::fs::remove_dir_all(&order.scratch);
    reports.set_nonblocking(false)?;
    let _ = reports.write_all(&serde_json::to_vec(&report)?);
    if all_gone {
        Ok(())
    } else {
        Err(io::ErrorKind::TimedOut.into())
    }
}

fn start(order: &Order, stdin: OwnedFd) -> io::Result<Pid> {
    let env = order.env.iter().map(|(name, value)| (name, value.expose()));
    let child = Command::new(&order.program)
        .args(&order.args)
        .env_clear()
        .envs(env)
        .current_dir(&order.dir)
        .stdin(Stdio::from(stdin))
        // A group of its own: a program that signals its whole group does not hit the launcher.
        .process_group(0)
        .spawn()?;
    // Standard output and error are the program's alone from here on, but this process keeps copies: they close when
    // it ends, which is right after the program.
    Ok(Pid::from_child(&child))
}

/// Reaps all children that have ended; how `program` ended, if it is among them.
fn reap(program: Pid) -> Option<Report> {
    let mut report = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == program {
            report = Some(how(status));
        }
    }
    report
}

fn how(status: WaitStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, Some(signal)) => Report::Signalled(signal),
        (None, None) => Report::Stopped,
    }
}

/// Ends everything below this process: SIGTERM, then SIGKILL after `grace`. Whether all of it is gone.
async fn end_all(grace: Duration, child_ended: &mut tokio::signal::unix::Signal) -> bool {
    let start = Instant::now();
    let mut asked = Vec::new();
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let left = tree::descendants(&tree::processes(), getpid());
        if left.is_empty() {
            return true;
        }
        let waited = start.elapsed();
        if waited >= GIVE_UP {
            return false;
        }
        if waited >= grace {
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
