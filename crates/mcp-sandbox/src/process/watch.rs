//! The launcher's look at its processes: how many they are, and how much memory they have. The kernel bounds each of them,
//! and all of them together only where there is a namespace or a cgroup.

use std::time::Duration;

use rustix::param::page_size;
use rustix::process::Pid;
use rustix::thread::{CapabilitySet, capabilities};
use tokio::time::Instant;

use super::tree::{self, Entry};
use crate::layers::resources::Resources;

/// Longest look at what processes share: whoever makes it last for longer would not be watched meanwhile.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// What is over its bound among the processes below `root`; the end of a sentence that begins with the program's name.
/// What can't be watched is over it.
pub(super) fn excess(root: Pid, resources: &Resources) -> Option<String> {
    let all = match tree::processes() {
        Ok(all) => all,
        Err(error) => return Some(format!("could not be watched: {error}")),
    };
    let below = tree::descendants(&all, root);
    let of_them: Vec<&Entry> = all
        .iter()
        .filter(|entry| below.contains(&entry.pid))
        .collect();
    let count: u64 = of_them.iter().map(|entry| entry.threads).sum();
    let most = resources.processes;
    if count > most {
        return Some(format!(
            "had {count} processes and threads, {most} are allowed (`processes`)"
        ));
    }
    // Nothing is told of the memory of such a process, and hardly any program needs one.
    if of_them
        .iter()
        .any(|entry| entry.has_ended && entry.threads > 1)
    {
        return Some("has a process that goes on without its first thread".into());
    }
    let page = page_size() as u64;
    let most = resources.memory_bytes;
    let resident: u64 = of_them.iter().map(|entry| entry.resident * page).sum();
    if resident <= most {
        return None;
    }
    // What forks share was counted for each of them: only now is it worth the time to ask for their shares.
    let began = Instant::now();
    let mut bytes = 0_u64;
    for entry in of_them {
        if began.elapsed() > LOOK_MAX {
            return Some("has more memory mapped than can be counted in time".into());
        }
        bytes += share(entry.pid).unwrap_or(entry.resident * page);
    }
    (bytes > most)
        .then(|| format!("used {bytes} bytes of memory, {most} are allowed (`memory_bytes`)"))
}

/// What is said where the kernel found the same, in a cgroup.
pub(super) fn too_much_memory(most: u64) -> String {
    format!("used more memory than the {most} bytes that are allowed (`memory_bytes`)")
}

/// Why processes can't be watched here: `/proc` shows this user its own processes alone, and a program has ways to make its
/// processes nobody's.
pub(crate) fn lacks() -> Option<String> {
    let may_look =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_PTRACE));
    if may_look {
        return None;
    }
    match std::fs::read_to_string("/proc/self/mountinfo") {
        Ok(mounts) => hides(&mounts).then(|| "/proc is mounted with `hidepid`".into()),
        Err(error) => Some(format!("/proc/self/mountinfo: {error}")),
    }
}

/// Whether the last thing mounted on `/proc` hides processes (proc(5), mount options).
fn hides(mounts: &str) -> bool {
    let mut of_proc = mounts.lines().rev().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let is_there = before.split(' ').nth(4)? == "/proc";
        is_there.then(|| after.rsplit(' ').next())?
    });
    of_proc.next().is_some_and(|options| {
        let value = options
            .split(',')
            .find_map(|option| option.strip_prefix("hidepid="));
        !matches!(value, None | Some("0" | "off"))
    })
}

/// The process's proportional share of its memory, in bytes.
fn share(pid: Pid) -> Option<u64> {
    let path = format!("/proc/{}/smaps_rollup", pid.as_raw_pid());
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::hides;

    #[test]
    fn a_proc_that_hides_processes_is_told_from_one_that_shows_them() {
        let line = |options: &str| {
            format!(
                "24 1 0:22 / /proc rw,relatime - proc proc {options}\n31 24 0:30 / /proc/sys rw - proc proc rw\n"
            )
        };
        for options in ["rw", "rw,gid=4", "rw,hidepid=0", "rw,hidepid=off"] {
            assert!(!hides(&line(options)), "{options}");
        }
        for options in [
            "rw,hidepid=1",
            "rw,hidepid=invisible",
            "rw,gid=4,hidepid=ptraceable",
        ] {
            assert!(hides(&line(options)), "{options}");
        }
        let covered = [line("rw,hidepid=2"), line("rw")].concat();
        assert!(!hides(&covered), "the last one counts");
        assert!(!hides(""));
    }
}
