//! A real Redis server.

use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, fetched, free_port};

const PATIENCE: Duration = Duration::from_secs(30);
/// What it prints when it takes connections.
const READY: &str = "Ready to accept connections";

/// A Redis server on loopback that keeps nothing on disk. It ends when this is dropped, and when the test process ends.
pub struct Redis {
    process: Process,
    port: u16,
    folder: TempDir,
}

impl Redis {
    /// Starts one on a port of its own.
    ///
    /// # Panics
    ///
    /// When it does not come up; with what it printed.
    pub async fn start() -> Self {
        let folder = TempDir::with_prefix("mcp-testkit-redis-").expect("a temporary folder");
        loop {
            let port = free_port();
            let mut process = run(port, &folder);
            let began = crate::eventually(PATIENCE, async || {
                if process.exited().is_some() {
                    return Ok(false);
                }
                if process.printed(READY) {
                    return Ok(true);
                }
                Err(process.describe("it does not take connections"))
            })
            .await;
            if began {
                return Self {
                    process,
                    port,
                    folder,
                };
            }
            // Another process was faster than it at its port.
            let lost = process.printed("Address already in use");
            assert!(lost, "{}", process.describe("it ended"));
        }
    }

    /// Its address, as `REDIS_URL` wants it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Ends it at once, as a crash does. What it held is gone.
    pub fn kill(&mut self) {
        self.process.kill9();
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub async fn restart(&mut self) {
        self.process.kill9();
        self.process = run(self.port, &self.folder);
        self.process.wait_for_line(READY, PATIENCE).await;
    }

    /// It stands still, holding its connections, until [`resume`](Redis::resume).
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// Goes on.
    pub fn resume(&self) {
        self.process.resume();
    }
}

fn run(port: u16, folder: &TempDir) -> Process {
    let port = port.to_string();
    let settings = [
        ["--port", &port],
        ["--bind", "127.0.0.1"],
        ["--save", ""],
        ["--appendonly", "no"],
    ];
    Process::builder(fetched::redis_server())
        .args(settings.into_iter().flatten())
        .current_dir(folder.path())
        .start()
}
