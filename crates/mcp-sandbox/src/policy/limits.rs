//! Bounds of time and size for one launch.

use std::time::Duration;

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
    /// Launches at once. `concurrency`, 16.
    pub concurrency: usize,
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
        }
    }
}
