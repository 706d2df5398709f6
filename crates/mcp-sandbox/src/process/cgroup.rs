//! A cgroup (version 2) for one program, below a folder that the operator has set aside for it. The kernel counts for all
//! its processes together there, and ends all of them in one stroke.
//!
//! Only by the operator's wish: moving a process into a cgroup waits for every processor of the machine, some 10 ms.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Child;

use crate::layers::resources::Resources;

/// A cgroup that goes with this value.
pub(super) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes the one at `path`; the `cgroup.subtree_control` of the folder above has `cpu`, `memory` and `pids`.
    pub(super) fn make(path: PathBuf, resources: &Resources) -> io::Result<Self> {
        fs::create_dir(&path).map_err(|error| named(&path, error))?;
        let cgroup = Self(path);
        for (file, text) in [
            ("pids.max", resources.processes.to_string()),
            ("memory.max", resources.memory_bytes.to_string()),
            // Two processors: of 100 ms, so many microseconds.
            ("cpu.max", "200000 100000".to_owned()),
        ] {
            cgroup.write(file, &text)?;
        }
        // Where there is no swap, there is no such file.
        let _ = cgroup.write("memory.swap.max", "0");
        Ok(cgroup)
    }

    /// Ends everything in it, also what is just being forked.
    pub(super) fn kill(&self) {
        let _ = self.write("cgroup.kill", "1");
    }

    /// The one at `path`, which a launcher that was killed has left.
    pub(super) fn left(path: PathBuf) -> Self {
        Self(path)
    }

    /// Whether the kernel ended a process in it because all of them had more memory than they may have together.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.0.join("memory.events")).unwrap_or_default();
        let kills = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|count| count.trim() != "0")
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let path = self.0.join(file);
        // Never made here: in a folder that is no cgroup this must fail.
        let mut file = fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|error| named(&path, error))?;
        io::Write::write_all(&mut file, text.as_bytes()).map_err(|error| named(&path, error))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It is empty by now; if it is not, the error would be heard by nobody.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Moves this process into the cgroup at `path`.
pub(super) fn join(path: &Path) -> io::Result<()> {
    let file = path.join("cgroup.procs");
    fs::write(&file, "0").map_err(|error| named(&file, error))
}

/// Why no cgroup with every limit can be made below `parent`, as far as a look tells.
pub(crate) fn lacks(parent: &Path) -> Option<String> {
    let shown = parent.display();
    let Ok(given) = fs::read_to_string(parent.join("cgroup.subtree_control")) else {
        return Some(format!("{shown} is no cgroup of version 2"));
    };
    let lacking: Vec<_> = ["cpu", "memory", "pids"]
        .into_iter()
        .filter(|name| !given.split_whitespace().any(|given| given == *name))
        .collect();
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        return Some(format!("{shown} gives its children no {lacking}"));
    }
    None
}

/// Makes a cgroup below `parent` and moves a process into it, as a launch does: who may write to the folder may still not
/// move processes there from where the server is (cgroups(7), "delegation containment"). `idle` starts a process that
/// ends when it is told to.
pub(crate) async fn try_out(
    parent: &Path,
    resources: &Resources,
    idle: impl FnOnce() -> io::Result<Child>,
) -> io::Result<()> {
    // A name that is free: that of a folder that exists only here.
    let name = tempfile::Builder::new().prefix("mcp-probe-").tempdir()?;
    let name = name.path().file_name().unwrap_or_default();
    // The same words for the same trouble each time, so that it is told once.
    let plain = |error: io::Error| {
        let text = error.to_string();
        let text = text.replace(&*name.to_string_lossy(), "mcp-probe");
        io::Error::new(error.kind(), text)
    };
    let cgroup = Cgroup::make(parent.join(name), resources).map_err(plain)?;
    let mut child = idle()?;
    let moved = match child.id() {
        Some(pid) => cgroup.write("cgroup.procs", &pid.to_string()),
        None => Ok(()),
    };
    let _ = child.kill().await;
    moved.map_err(plain)
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
