//! A real Redis server.

use std::net::Ipv4Addr;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Process, eventually, fetched, free_port};

const PATIENCE: Duration = Duration::from_secs(30);
/// What it prints when it takes connections.
const READY: &str = "Ready to accept connections";

/// A Redis server on loopback that keeps nothing on disk. It ends when this is dropped, and when the test process ends.
pub struct Redis {
    process: Process,
    port: u16,
    folder: TempDir,
    password: Option<String>,
}

impl Redis {
    /// Starts one on a port of its own.
    ///
    /// # Panics
    ///
    /// When it does not come up; with what it printed.
    pub async fn start() -> Self {
        Self::with(None).await
    }

    /// Starts one that asks for that password.
    ///
    /// # Panics
    ///
    /// When it does not come up; with what it printed.
    pub async fn with_password(password: &str) -> Self {
        Self::with(Some(password.to_owned())).await
    }

    async fn with(password: Option<String>) -> Self {
        let folder = TempDir::with_prefix("mcp-testkit-redis-").expect("a temporary folder");
        loop {
            let port = free_port();
            let mut process = run(port, &folder, password.as_deref());
            let began = eventually(PATIENCE, async || {
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
                    password,
                };
            }
            // Another process was faster than it at its port.
            let lost = process.printed("Address already in use");
            assert!(lost, "{}", process.describe("it ended"));
        }
    }

    /// Its address, as `REDIS_URL` wants it.
    pub fn url(&self) -> String {
        let login = self.password.as_ref();
        let login = login.map_or_else(String::new, |password| format!(":{password}@"));
        format!("redis://{login}127.0.0.1:{}/", self.port)
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
        self.process = run(self.port, &self.folder, self.password.as_deref());
        self.process.wait_for_line(READY, PATIENCE).await;
    }

    /// The names of all keys.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub async fn keys(&self) -> Vec<String> {
        // An array of strings: before each stands its length.
        let answer = self.ask("KEYS *").await;
        answer
            .lines()
            .skip(2)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    }

    /// How long a key still lives; nothing for one that is not there, or does not expire.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub async fn time_to_live(&self, key: &str) -> Duration {
        let answer = self.ask(&format!("PTTL {key}")).await;
        let millis = answer.trim().trim_start_matches(':').parse();
        Duration::from_millis(millis.unwrap_or(0))
    }

    /// Lets a key live for so long from now on.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub async fn expire(&self, key: &str, after: Duration) {
        self.ask(&format!("PEXPIRE {key} {}", after.as_millis()))
            .await;
    }

    /// The answer to an inline command, as it is on the wire.
    async fn ask(&self, command: &str) -> String {
        eventually(PATIENCE, async || self.exchange(command).await).await
    }

    async fn exchange(&self, command: &str) -> std::io::Result<String> {
        const OK: &str = "+OK\r\n";
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        let login = self.password.as_ref();
        let login = login.map_or_else(String::new, |password| format!("AUTH {password}\r\n"));
        let commands = format!("{login}{command}\r\nQUIT\r\n");
        stream.write_all(commands.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let answer = answer.strip_suffix(OK).unwrap_or(&answer);
        Ok(answer.strip_prefix(OK).unwrap_or(answer).to_owned())
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

fn run(port: u16, folder: &TempDir, password: Option<&str>) -> Process {
    let password = password.map(|password| ["--requirepass", password]);
    let port = port.to_string();
    let settings = [
        ["--port", &port],
        ["--bind", "127.0.0.1"],
        ["--save", ""],
        ["--appendonly", "no"],
    ];
    Process::builder(fetched::redis_server())
        .args(settings.into_iter().chain(password).flatten())
        .current_dir(folder.path())
        .start()
}
