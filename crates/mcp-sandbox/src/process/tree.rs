//! Which processes descend from which, read from `/proc`.

use std::collections::BTreeSet;
use std::{fs, io};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// One line of `/proc/<pid>/stat`, as much of it as matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) pid: Pid,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// Its first thread has ended. If it has others, what stands here of its memory is nothing.
    pub(crate) has_ended: bool,
    /// It counts as one at least.
    pub(crate) threads: u64,
    /// Pages of memory that it has.
    pub(crate) resident: u64,
}

/// All processes that this one may see. One that ends meanwhile is left out, and so is one that `/proc` does not show to
/// this user ([`watch::lacks`](super::watch::lacks)).
///
/// # Errors
/// `/proc` can't be read, so nothing is known: least of all that there are none.
pub(crate) fn processes() -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        match fs::read(entry.path().join("stat")) {
            Ok(stat) => found.extend(parse(pid, &stat)),
            Err(error) if has_ended(&error) || is_hidden(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// `/proc` is mounted with `hidepid=1`; with 2, such a process is not listed at all.
fn is_hidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The command name in the second field may hold anything, also `)`, so fields are counted from the last one.
fn parse(pid: i32, stat: &[u8]) -> Option<Entry> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    // After the name: state, ppid, pgrp, session; threads are the 20th field of all, resident pages the 24th.
    let mut fields = rest.split_ascii_whitespace();
    let has_ended = fields.next()? == "Z";
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let threads = fields.nth(13)?.parse().ok()?;
    let resident = fields.nth(3)?.parse().ok()?;
    Some(Entry {
        pid: Pid::from_raw(pid)?,
        parent,
        group,
        session,
        has_ended,
        threads,
        resident,
    })
}

/// The descendants of `root` among `processes`, without `root` itself.
pub(crate) fn descendants(processes: &[Entry], root: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut parents = vec![root.as_raw_pid()];
    while let Some(parent) = parents.pop() {
        for entry in processes {
            if entry.parent == parent && entry.pid != root && !found.contains(&entry.pid) {
                found.push(entry.pid);
                parents.push(entry.pid.as_raw_pid());
            }
        }
    }
    found
}

/// Ends each with its group, in one stroke: none of a group gets to fork in between. `own` is spared.
pub(crate) fn kill_groups(processes: &[Entry], pids: &[Pid], own: Pid) {
    let groups: BTreeSet<i32> = processes
        .iter()
        .filter(|entry| pids.contains(&entry.pid))
        .map(|entry| entry.group)
        .collect();
    let of_own = processes
        .iter()
        .find(|entry| entry.pid == own)
        .map(|entry| entry.group);
    for group in groups {
        if let Some(leader) = Pid::from_raw(group)
            && Some(group) != of_own
            && let Err(error) = kill_process_group(leader, Signal::KILL)
        {
            tracing::debug!(group, %error, "a group took no signal");
        }
    }
}

/// Sends `signal` to each; one that is gone meanwhile is no trouble.
pub(crate) fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        if let Err(error) = kill_process(*pid, signal) {
            tracing::debug!(pid = pid.as_raw_pid(), %error, "a process took no signal");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, descendants, parse, processes};
    use rustix::process::{Pid, getpid};

    fn entry(pid: i32, parent: i32) -> Entry {
        Entry {
            pid: Pid::from_raw(pid).unwrap(),
            parent,
            group: 1,
            session: 1,
            has_ended: false,
            threads: 1,
            resident: 1,
        }
    }

    fn stat_of_a_zombie() -> Vec<u8> {
        b"7 (a) Z 42 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 100 0 0 0".to_vec()
    }

    #[test]
    fn a_hostile_command_name_does_not_shift_the_fields() {
        let stat = b"7 (a) R 1 1 (x)) S 42 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 100 4096 77 0";
        let parsed = parse(7, stat).unwrap();
        assert_eq!((parsed.parent, parsed.group, parsed.session), (42, 8, 9));
        assert_eq!((parsed.threads, parsed.resident), (3, 77));
        assert!(!parsed.has_ended && parse(7, &stat_of_a_zombie()).unwrap().has_ended);
        assert_eq!(parse(7, b"garbage"), None);
    }

    #[test]
    fn descendants_are_found_at_any_depth_and_in_any_order() {
        let all = [entry(5, 4), entry(4, 2), entry(3, 1), entry(2, 1)];
        let mut below: Vec<_> = descendants(&all, Pid::from_raw(2).unwrap())
            .iter()
            .map(|pid| pid.as_raw_pid())
            .collect();
        below.sort_unstable();
        assert_eq!(below, [4, 5]);
    }

    #[test]
    fn this_process_sees_itself() {
        let all = processes().unwrap();
        assert!(all.iter().any(|entry| entry.pid == getpid()));
    }
}
