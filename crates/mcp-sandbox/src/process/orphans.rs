//! The server's own part in leaving nothing behind: ending what a killed launcher left.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, set_child_subreaper, waitpid};
use tokio::time::Instant;

use super::tree::{self, Entry};
use super::watch;

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

/// Ends and reaps all orphans, until none is left or `deadline` passes. Whether none is left.
pub(crate) async fn sweep(deadline: Instant) -> bool {
    loop {
        let (all, orphans) = match orphans() {
            Ok((_, orphans)) if orphans.is_empty() => {
                let Some(why) = watch::lacks() else {
                    return true;
                };
                tracing::error!("whether processes are left can't be told: {why}");
                return false;
            }
            Ok(found) => found,
            Err(error) if Instant::now() >= deadline => {
                tracing::error!(%error, "whether processes are left can't be told");
                return false;
            }
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if Instant::now() >= deadline {
            tracing::error!(count = orphans.len(), "processes could not be ended");
            return false;
        }
        tree::kill_groups(&all, &orphans, getpid());
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

/// All processes, and which of them are orphans.
fn orphans() -> io::Result<(Vec<Entry>, Vec<Pid>)> {
    // Locked before the look at the processes, so that each launcher in it is known.
    let launchers = LAUNCHERS.lock().unwrap_or_else(PoisonError::into_inner);
    let all = tree::processes()?;
    let orphans = orphans_of(getpid(), &all, &launchers);
    Ok((all, orphans))
}

/// Children of `own` that came from a launcher that is gone, with all below them. A launcher leads a session of its
/// own and no process can join a session, so what has our session was started by other parts of this program. The
/// session is read from `/proc` and not from `getsid`: it is 0 where it was opened outside of this PID namespace.
fn orphans_of(own: Pid, processes: &[Entry], launchers: &BTreeSet<i32>) -> Vec<Pid> {
    let Some(session) = processes.iter().find(|entry| entry.pid == own) else {
        return Vec::new();
    };
    let session = session.session;
    let mut found = Vec::new();
    for entry in processes {
        let ours = entry.session == session;
        let known = launchers.contains(&entry.pid.as_raw_pid());
        if entry.parent == own.as_raw_pid() && !ours && !known {
            found.push(entry.pid);
            found.extend(tree::descendants(processes, entry.pid));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rustix::process::Pid;

    use super::orphans_of;
    use crate::process::tree::Entry;

    #[test]
    fn what_came_from_a_lost_launcher_is_told_from_our_own() {
        let entry = |pid, parent, session| Entry {
            pid: Pid::from_raw(pid).unwrap(),
            parent,
            group: session,
            session,
            has_ended: false,
            threads: 1,
            resident: 1,
        };
        // As in a container where another process than the first one runs this: our session has no number.
        let processes = [
            entry(7, 0, 0),
            entry(8, 7, 0),
            entry(20, 7, 20),
            entry(30, 7, 29),
            entry(31, 30, 31),
            entry(40, 1, 40),
        ];
        let own = Pid::from_raw(7).unwrap();
        let found = orphans_of(own, &processes, &BTreeSet::from([20]));
        let found: Vec<_> = found.iter().map(|pid| pid.as_raw_pid()).collect();
        assert_eq!(found, [30, 31]);
    }
}
