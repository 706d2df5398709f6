//! What runs on this machine, as `/proc` tells it.

use std::collections::BTreeMap;
use std::fs;

use mcp_testkit::eventually;

use crate::pair::SOON;

/// A process: its id, and when it started, so that another one that gets the id later is not taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Running {
    id: u32,
    start: u64,
}

/// All processes, each with its parent's id. One that has ended and waits for its parent to notice does not count.
fn all() -> BTreeMap<Running, u32> {
    let entries = fs::read_dir("/proc").expect("/proc is there");
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let id = path.file_name()?.to_str()?.parse().ok()?;
            let stat = fs::read_to_string(path.join("stat")).ok()?;
            // The program's name, in parentheses, may hold anything.
            let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
            let start = fields.get(19)?.parse().ok()?;
            (fields[0] != "Z").then_some((Running { id, start }, fields[1].parse().ok()?))
        })
        .collect()
}

/// What the process `id` has started, and they in turn, as far as their parents still run.
pub(crate) fn below(id: u32) -> Vec<Running> {
    let all = all();
    let mut found = Vec::new();
    let mut parents = vec![id];
    while let Some(parent) = parents.pop() {
        let children = all.iter().filter(|(_, of)| **of == parent);
        for (child, _) in children {
            found.push(*child);
            parents.push(child.id);
        }
    }
    found
}

/// The processes whose command line contains `mark`.
pub(crate) fn marked(mark: &str) -> Vec<Running> {
    let all = all().into_keys();
    all.filter(|process| {
        let arguments = fs::read(format!("/proc/{}/cmdline", process.id)).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(mark)
    })
    .collect()
}

/// Waits until `look` finds at least `count` processes.
pub(crate) async fn wait_for(count: usize, look: impl Fn() -> Vec<Running>) -> Vec<Running> {
    eventually(SOON, async || match look() {
        found if found.len() >= count => Ok(found),
        found => Err(format!("there are {found:?}, not {count}")),
    })
    .await
}

/// Waits until `look` finds none.
pub(crate) async fn wait_for_none(look: impl Fn() -> Vec<Running>) {
    eventually(SOON, async || match look() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("there are still {left:?}")),
    })
    .await;
}

/// Waits until all of these have ended.
pub(crate) async fn wait_gone(processes: &[Running]) {
    wait_for_none(|| {
        let all = all();
        let left = processes.iter().filter(|process| all.contains_key(process));
        left.copied().collect()
    })
    .await;
}
