//! The launcher's look at its processes: how many they are, and how much memory they have. The kernel bounds each of them,
//! and all of them together only where there is a namespace or a cgroup.

use std::time::Duration;

use rustix::param::page_size;
use rustix::process::Pid;
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

/// The process's proportional share of its memory, in bytes.
fn share(pid: Pid) -> Option<u64> {
    let path = format!("/proc/{}/smaps_rollup", pid.as_raw_pid());
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1_024)
}
