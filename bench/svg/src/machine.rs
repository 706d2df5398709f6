//! Where and with what was measured.

use std::{fs, path::Path, process::Command};

/// The machine and the commit; what cannot be read is `unknown`.
pub(crate) struct Machine {
    /// Cores, processor, kernel.
    pub(crate) hardware: String,
    /// The commit, and whether the tree differs from it.
    pub(crate) commit: String,
    /// What else ran when this was read: the load average of a minute.
    pub(crate) load: String,
}

impl Machine {
    pub(crate) fn read(root: &Path) -> Machine {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor
            .lines()
            .find(|line| line.starts_with("model name"))
            .and_then(|line| line.split_once(':'))
            .map_or("unknown", |(_, name)| name.trim());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let changed = !git(root, &["status", "--porcelain", "-uno"]).is_empty();
        let with_changes = if changed { ", with changes" } else { "" };
        Machine {
            hardware: format!("{cores} cores, {processor}, Linux {}", kernel.trim()),
            commit: git(root, &["rev-parse", "--short", "HEAD"]) + with_changes,
            load: load.split(' ').next().unwrap_or("unknown").to_owned(),
        }
    }
}

fn git(root: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output();
    let text = output.map_or_else(|_| b"unknown".to_vec(), |output| output.stdout);
    String::from_utf8_lossy(&text).trim().to_owned()
}
