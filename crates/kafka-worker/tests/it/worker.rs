//! The worker's binary as a child process.

use std::time::Duration;

use mcp_testkit::{Process, ProcessBuilder, eventually};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// For everything that takes well under a second or two on an idle machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A worker to be started, with the variables that it is given and no others.
#[derive(Clone)]
pub(crate) struct WorkerBuilder(Vec<(String, String)>);

impl WorkerBuilder {
    /// Without any variable.
    pub(crate) fn bare() -> Self {
        Self(Vec::new())
    }

    /// Sets a variable; the last one of a name counts.
    pub(crate) fn var(mut self, name: &str, value: impl ToString) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// Without a variable that was set before.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// Starts the process and does not wait for anything.
    pub(crate) fn process(self) -> Process {
        let binary: ProcessBuilder = Process::builder(env!("CARGO_BIN_EXE_kafka-worker"));
        binary.envs(self.0).start()
    }

    /// Starts it and waits until its admin routes answer.
    pub(crate) async fn start(self) -> Worker {
        let mut process = self.process();
        // In text it is `admin=host:port`, in JSON `"admin":"host:port"`.
        let line = process.wait_for_line("admin", SOON).await;
        let (_, rest) = line.split_once("admin").expect("just found");
        let port = rest
            .trim_start_matches(['=', '"', ':'])
            .split([' ', '"'])
            .next()
            .and_then(|address| address.rsplit_once(':'))
            .map(|(_, port)| port)
            .unwrap_or_else(|| panic!("no port in {line:?}"));
        let admin = format!("127.0.0.1:{port}");
        Worker { process, admin }
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start_ready(self) -> Worker {
        let mut worker = self.start().await;
        worker.wait_ready().await;
        worker
    }
}

/// A running worker.
pub(crate) struct Worker {
    pub(crate) process: Process,
    admin: String,
}

impl Worker {
    pub(crate) async fn wait_ready(&mut self) {
        let url = format!("http://{}", self.admin);
        self.process.wait_ready(&url, SOON).await;
    }

    /// Waits until `/ready` says that `condition` does not hold, for a reason that contains `part`.
    pub(crate) async fn wait_not_ready(&self, condition: &str, part: &str) -> String {
        eventually(SOON, async || {
            let (status, body) = self.get("/ready").await?;
            let answer: Value = serde_json::from_str(&body).map_err(|e| format!("{e}: {body}"))?;
            let reason = answer["conditions"][condition].as_str().unwrap_or_default();
            if status == 503 && !reason.is_empty() && reason.contains(part) {
                return Ok(reason.to_owned());
            }
            let log = self.process.output();
            let tail = log[log.len().saturating_sub(15)..].join("\n");
            Err(format!(
                "/ready answers {status} {body}; the log ends:\n{tail}"
            ))
        })
        .await
    }

    /// `GET` of an admin route: status and body.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String), String> {
        let exchange = async {
            let mut stream = TcpStream::connect(&self.admin).await?;
            let request = format!("GET {path} HTTP/1.0\r\nHost: worker\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = exchange.await.map_err(|error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Ok((status.unwrap_or_default(), body.to_owned()))
    }

    /// The sum of a metric over all series whose labels contain `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> Result<f64, String> {
        let (_, text) = self.get("/metrics").await?;
        let series: Vec<f64> = text
            .lines()
            .filter(|line| {
                let name_ends = line.strip_prefix(name);
                name_ends.is_some_and(|rest| rest.starts_with([' ', '{'])) && line.contains(label)
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        match series.is_empty() {
            true => Err(format!("no {name} with {label:?} in:\n{text}")),
            false => Ok(series.iter().sum()),
        }
    }

    /// Waits until the metric fits.
    pub(crate) async fn wait_metric(&self, name: &str, label: &str, fits: impl Fn(f64) -> bool) {
        eventually(SOON, async || match self.metric(name, label).await? {
            value if fits(value) => Ok(()),
            value => Err(format!("{name} with {label:?} is {value}")),
        })
        .await;
    }

    /// SIGTERM, and waits for a clean exit.
    pub(crate) async fn leave(&mut self) {
        self.process.terminate();
        let status = self.process.wait_exit(SOON).await;
        assert!(
            status.success(),
            "{status}:\n{}",
            self.process.output().join("\n")
        );
    }

    /// Everything that it has printed.
    pub(crate) fn log(&self) -> String {
        self.process.output().join("\n")
    }
}
