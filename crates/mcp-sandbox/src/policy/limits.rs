//! Bounds of time and size for one launch.

use std::time::Duration;

use crate::layers::resources::Resources;

/// The bounds; each has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the start of the program to the end of the handshake. `handshake_ms`, 30 s.
    pub handshake: Duration,
    /// Everything that it may write to its standard output. `output_bytes`, 8 MiB.
    pub output_bytes: usize,
    /// One message of it. `message_bytes`, 4 MiB.
    pub message_bytes: usize,
    /// How much of the end of its standard error is kept. `stderr_bytes`, 64 KiB.
    pub stderr_bytes: usize,
    /// Tools that it may have. `tools`, 1000.
    pub tools: usize,
    /// Pages that it may list them on. `pages`, 100.
    pub pages: usize,
    /// Launches at once. `concurrency`, 16. Not for single programs.
    pub concurrency: usize,
    /// Memory that one of its processes may write to and does not share, and what all of them together may have.
    /// `memory_bytes`, 2 GiB.
    pub memory_bytes: u64,
    /// Processes and threads at once. `processes`, 512.
    pub processes: u64,
    /// Processor time of one process. `cpu_seconds`, 120.
    pub cpu_seconds: u64,
    /// Open files of one process. `open_files`, 1024.
    pub open_files: u64,
    /// Size of a file that it writes. `file_bytes`, 1 GiB.
    pub file_bytes: u64,
}

impl Limits {
    pub(crate) fn resources(&self) -> Resources {
        Resources {
            memory_bytes: self.memory_bytes,
            processes: self.processes,
            cpu_seconds: self.cpu_seconds,
            open_files: self.open_files,
            file_bytes: self.file_bytes,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(30),
            output_bytes: 8 << 20,
            message_bytes: 4 << 20,
            stderr_bytes: 64 << 10,
            tools: 1_000,
            pages: 100,
            concurrency: 16,
            memory_bytes: 2 << 30,
            processes: 512,
            cpu_seconds: 120,
            open_files: 1_024,
            file_bytes: 1 << 30,
        }
    }
}
