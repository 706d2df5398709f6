//! The workers: processes of the real binary, each behind a proxy of its own to the server.

use std::mem::replace;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use mcp_testkit::{Process, free_port};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::history::{Micros, Recorder};
use super::link::Link;
use super::plan::Passage;

/// Between two looks at a worker's metrics.
const LOOK: Duration = Duration::from_millis(250);

/// How workers are started.
pub(crate) struct Recruiter {
    pub(crate) binary: PathBuf,
    /// Variables that all of them get.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) stub: u16,
    pub(crate) recorder: Recorder,
    pub(crate) next: u16,
    /// How links to the server begin.
    pub(crate) passage: Passage,
}

/// A worker's process.
pub(crate) struct Worker {
    pub(crate) instance: u16,
    pub(crate) process: Process,
    pub(crate) link: Link,
    pub(crate) frozen_since: Option<Micros>,
    look: AbortHandle,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.look.abort();
    }
}

impl Recruiter {
    /// Starts one, and waits for nothing.
    pub(crate) async fn start(&mut self) -> anyhow::Result<Worker> {
        let instance = self.next;
        self.next += 1;
        let link = Link::start(free_port(), Some(self.stub))
            .await
            .context("a proxy")?;
        link.set(self.passage);
        let admin = free_port();
        let process = Process::builder(&self.binary)
            .named(&client_id(instance))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env(
                "MCP_SERVER_URL",
                format!("http://127.0.0.1:{}/w{instance}", link.port()),
            )
            .env("KAFKA_PROPERTY_CLIENT_ID", client_id(instance))
            .env("ADMIN_PORT", admin)
            .start();
        let look = tokio::spawn(look(self.recorder.clone(), instance, admin)).abort_handle();
        Ok(Worker {
            instance,
            process,
            link,
            frozen_since: None,
            look,
        })
    }
}

/// The name of an instance at the broker and in dead letters.
pub(crate) fn client_id(instance: u16) -> String {
    format!("w{instance}")
}

/// Notes when the worker's count of rebalances changes, and of those by which it was expelled.
async fn look(recorder: Recorder, instance: u16, admin: u16) {
    let (mut rebalances, mut expulsions) = (0, 0);
    loop {
        if let Ok(text) = metrics(admin).await {
            let count = |kind: &str| -> u64 {
                let lines = text.lines();
                lines
                    .filter(|line| line.starts_with("worker_rebalances_total"))
                    .filter(|line| line.contains(kind))
                    .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
                    .sum()
            };
            let used_up = "worker_intake_held{reason=\"budget\"} 1";
            if text.lines().any(|line| line == used_up) {
                recorder.deed("looks at a worker whose budget was used up");
            }
            let now = recorder.now();
            if replace(&mut rebalances, count("")) != rebalances {
                recorder.history().rebalances.push((instance, now));
            }
            if replace(&mut expulsions, count("kind=\"lost\"")) != expulsions {
                recorder.history().expulsions.push((instance, now));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn metrics(admin: u16) -> std::io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", admin)).await?;
        stream
            .write_all(b"GET /metrics HTTP/1.0\r\nHost: worker\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.take(1 << 20).read_to_string(&mut answer).await?;
        Ok(answer)
    };
    // A frozen worker takes connections and answers nothing.
    tokio::time::timeout(Duration::from_secs(1), exchange).await?
}
