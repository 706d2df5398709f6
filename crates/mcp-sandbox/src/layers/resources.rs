//! Limits of each process, which the kernel holds.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// The bounds of one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resources {
    /// Memory that a process may write to and does not share; and of all its processes together, by the launcher's watch.
    pub(crate) memory_bytes: u64,
    /// Processes and threads together.
    pub(crate) processes: u64,
    /// Processor time of a process.
    pub(crate) cpu_seconds: u64,
    /// Open files of a process.
    pub(crate) open_files: u64,
    /// Size of a file that it writes.
    pub(crate) file_bytes: u64,
}

impl Resources {
    /// Sets the limits of this process, but for that of processes.
    pub(crate) fn apply(&self) -> io::Result<()> {
        for (resource, bound) in [
            (Resource::Core, 0),
            (Resource::Msgqueue, 0),
            // What it locks can't be swapped out.
            (Resource::Memlock, 8 << 20),
            (Resource::Nofile, self.open_files),
            (Resource::Fsize, self.file_bytes),
            // And not of addresses: runtimes reserve many more than they ever use.
            (Resource::Data, self.memory_bytes),
        ] {
            lower(resource, bound, bound)?;
        }
        // A second between the signal that says why and the one that can't be caught.
        lower(Resource::Cpu, self.cpu_seconds, self.cpu_seconds + 1)?;
        // When the machine itself runs out of memory, it is this program's turn before the server's. Where `/proc` can't
        // be written, it goes by size, as ever.
        let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
        Ok(())
    }

    /// Sets the limit of processes. The kernel counts those of a user, so this is for one who has no others.
    pub(crate) fn apply_processes(&self) -> io::Result<()> {
        lower(Resource::Nproc, self.processes, self.processes)
    }
}

fn lower(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    let before = getrlimit(resource).maximum;
    let least = |bound: u64| Some(before.map_or(bound, |before| before.min(bound)));
    let limit = Rlimit {
        current: least(current),
        maximum: least(maximum),
    };
    Ok(setrlimit(resource, limit)?)
}
