//! The server's own part in leaving nothing behind: ending what a killed launcher left.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, getsid, set_child_subreaper, waitpid};
use tokio::time::Instant;

use super::tree;

/// The launchers that run now. Process-wide because being a subreaper is.
static LAUNCHERS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// How often a sweep looks again.
const PAUSE: Duration = Duration::from_millis(10);

/// Makes orphans of this process its children.
pub(crate) fn adopt() {
    if let Err(error) = set_child_subreaper(Some(getpid())) {
        tracing::warn!(%error, "this process can't adopt orphans");
    }
}

/// Runs `spawn`, which starts a launcher, so that no sweep takes the new launcher for an orphan.
pub(crate) fn register<T>(
    spawn: impl FnOnce() -> std::io::Result<T>,
    pid: impl FnOnce(&T) -> Option<u32>,
) -> std::io::Result<T> {
    let mut launchers = LAUNCHERS.lock().unwrap_or_else(PoisonError::into_inner);
    let child = spawn()?;
    if let Some(pid) = pid(&child).and_then(|pid| i32::try_from(pid).ok()) {
        launchers.insert(pid);
    }
    Ok(child)
}

/// The launcher `pid` has been reaped.
pub(crate) fn unregister(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let mut launchers = LAUNCHERS.lock().unwrap_or_else(PoisonError::into_inner);
        launchers.remove(&pid);
    }
}

/// Ends and reaps all orphans, until none is left or `deadline` passes.
pub(crate) async fn sweep(deadline: Instant) {
    loop {
        let orphans = orphans();
        if orphans.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            tracing::error!(count = orphans.len(), "processes could not be ended");
            return;
        }
        tree::signal_all(&orphans, Signal::KILL);
        for pid in orphans {
            match waitpid(Some(pid), WaitOptions::NOHANG) {
                Ok(_) | Err(Errno::CHILD) => {}
                Err(error) => tracing::debug!(%error, "an orphan can't be reaped"),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Children of this process that came from a launcher that is gone, with all below them. A launcher leads a session of
/// its own and no process can join a session, so what has our session was started by other parts of this program.
fn orphans() -> Vec<Pid> {
    let launchers = LAUNCHERS.lock().unwrap_or_else(PoisonError::into_inner);
    let processes = tree::processes();
    let Ok(session) = getsid(None) else {
        return Vec::new();
    };
    let own = getpid().as_raw_pid();
    let mut found = Vec::new();
    for entry in &processes {
        let ours = entry.session == session.as_raw_pid();
        let known = launchers.contains(&entry.pid.as_raw_pid());
        if entry.parent == own && !ours && !known {
            found.push(entry.pid);
            found.extend(tree::descendants(&processes, entry.pid));
        }
    }
    found
}
