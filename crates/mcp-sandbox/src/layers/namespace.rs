//! A user namespace: the kernel counts processes by user and namespace, so one of its own makes the limit of processes
//! the program's alone. It also has no rights over processes outside, even of the same user.

use nix::sched::{CloneFlags, unshare};
use rustix::process::{getgid, getuid};

use super::privileges;

/// Enters a new one, in which this process is who it was. The error says why there is none.
pub(crate) fn enter() -> Result<(), String> {
    if super::is_root() {
        return Err("the kernel counts no processes of root; see `run_as`".into());
    }
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(|error| format!("the kernel lets this user have none: {error}"))?;
    privileges::be_visible().map_err(|error| error.to_string())?;
    // One's own number may be mapped without any right; of groups, once they can't be changed any more.
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{uid} {uid} 1")),
        ("/proc/self/gid_map", format!("{gid} {gid} 1")),
    ] {
        std::fs::write(file, text).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}
