//! A real Redis of one's own.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Process, eventually, fetched, free_port};

const PATIENCE: Duration = Duration::from_secs(30);

/// A `redis-server` that keeps nothing on disk. It is killed when this is dropped.
pub struct Redis {
    process: Process,
    port: u16,
    password: Option<String>,
}

impl Redis {
    /// One that lets everyone in.
    pub async fn start() -> Self {
        Self::start_on(free_port(), None).await
    }

    /// One that asks for that password.
    pub async fn with_password(password: &str) -> Self {
        Self::start_on(free_port(), Some(password.to_owned())).await
    }

    async fn start_on(port: u16, password: Option<String>) -> Self {
        let mut builder = Process::builder(fetched::redis_server())
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"]);
        if let Some(password) = &password {
            builder = builder.args(["--requirepass", password]);
        }
        let mut process = builder.start();
        process.wait_for_line("Ready to accept", PATIENCE).await;
        Self {
            process,
            port,
            password,
        }
    }

    /// Its URL, with the password if it has one.
    pub fn url(&self) -> String {
        let login = self.password.as_ref();
        let login = login.map_or_else(String::new, |password| format!(":{password}@"));
        format!("redis://{login}127.0.0.1:{}", self.port)
    }

    /// The process: to be frozen or killed.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Killed, and started again on the same port with nothing in it.
    pub async fn restart(&mut self) {
        self.process.kill9();
        let fresh = Self::start_on(self.port, self.password.take()).await;
        *self = fresh;
    }

    /// The names of all keys.
    pub async fn keys(&self) -> Vec<String> {
        let answer = self.ask("KEYS *").await;
        // An array of bulk strings: every second line is a length.
        let mut lines = answer.lines().skip(1);
        let mut keys = Vec::new();
        while let (Some(_length), Some(key)) = (lines.next(), lines.next()) {
            keys.push(key.to_owned());
        }
        keys
    }

    /// How long a key still lives.
    pub async fn time_to_live(&self, key: &str) -> Duration {
        let answer = self.ask(&format!("PTTL {key}")).await;
        let millis = answer.trim().trim_start_matches(':').parse().unwrap_or(0);
        Duration::from_millis(millis)
    }

    /// Sends one inline command (RESP §"Inline commands") and returns what comes back, undecoded.
    async fn ask(&self, command: &str) -> String {
        eventually(PATIENCE, async || {
            self.exchange(command)
                .await
                .map_err(|error| error.to_string())
        })
        .await
    }

    async fn exchange(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let login = match &self.password {
            Some(password) => format!("AUTH {password}\r\n"),
            None => String::new(),
        };
        stream
            .write_all(format!("{login}{command}\r\nQUIT\r\n").as_bytes())
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let answer = answer.trim_end_matches("+OK\r\n");
        Ok(answer.trim_start_matches("+OK\r\n").to_owned())
    }
}
