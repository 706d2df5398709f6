//! What "everything on" is: keys, limits, the audit log, metrics, and traces at one percent; and whether it was.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use mcp_testkit::OtlpReceiver;
use tempfile::TempDir;

use crate::call::{bearer, exchange, find, get, message, post};
use crate::plan::Era;

/// Limits of the benchmark's key: looked at for each call, and never reached.
const LIMITS: [&str; 6] = [
    "--rate",
    "1000000",
    "--concurrency",
    "20000",
    "--streams",
    "20000",
];
/// From so many calls on, what is one percent of them on average is between a tenth and ten times that.
const TRACED_FROM: u64 = 5_000;

/// What can be left out, to see what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// API keys and their limits
    Keys,
    /// The audit log
    Audit,
    /// Traces
    Traces,
    /// Log lines below a warning
    Logs,
}

/// What mcp-server is started with.
pub(crate) struct Everything {
    without: Vec<Part>,
    folder: TempDir,
    key: String,
    collector: OtlpReceiver,
    /// Spans that had come before this run.
    spans_before: usize,
}

impl Everything {
    /// Makes a key with `mcp-server keys new`, and starts a collector.
    ///
    /// # Errors
    /// When the binary makes no key.
    pub(crate) fn prepare(
        server: &Path,
        without: &[Part],
        runtime: &tokio::runtime::Runtime,
    ) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("bench-server-")?;
        let output = Command::new(server)
            .args(["keys", "new", "--name", "bench", "--scope", "tools:call"])
            .args(LIMITS)
            .output()
            .with_context(|| format!("{} does not start", server.display()))?;
        let text = String::from_utf8(output.stdout)?;
        let (key, line) = text.split_once('\n').context("keys new printed no key")?;
        std::fs::write(folder.path().join("keys"), line)?;
        Ok(Self {
            without: without.to_vec(),
            key: key.to_owned(),
            folder,
            collector: runtime.block_on(OtlpReceiver::start()),
            spans_before: 0,
        })
    }

    /// The key that callers show.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The variables.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let [endpoint, _delay] = self.collector.variables();
        let keys = self.folder.path().join("keys").display().to_string();
        let mut variables = Vec::new();
        if self.has(Part::Traces) {
            let sampler = "parentbased_traceidratio".to_owned();
            variables.push(endpoint);
            variables.push(("OTEL_TRACES_SAMPLER", sampler));
            variables.push(("OTEL_TRACES_SAMPLER_ARG", "0.01".to_owned()));
        }
        if self.has(Part::Keys) {
            variables.push(("MCP_API_KEYS_FILE", keys));
        }
        if !self.has(Part::Logs) {
            variables.push(("RUST_LOG", "warn".to_owned()));
        }
        let audit = match self.has(Part::Audit) {
            true => self.audit_log().display().to_string(),
            false => "none".to_owned(),
        };
        variables.push(("MCP_AUDIT_LOG", audit));
        variables
    }

    fn has(&self, part: Part) -> bool {
        !self.without.contains(&part)
    }

    /// A run begins: drops the audit lines of the last one, while nobody writes them.
    pub(crate) fn begin(&mut self) {
        self.spans_before = self.collector.spans().len();
        // Before the first run there is no such file.
        let _ = std::fs::remove_file(self.audit_log());
    }

    fn audit_log(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    /// Looks whether all of it was on, after so many calls.
    ///
    /// # Errors
    /// What was not.
    pub(crate) fn check(&self, address: SocketAddr, calls: u64) -> anyhow::Result<()> {
        if self.has(Part::Keys) {
            let unknown = post(address, "/mcp", "", &message(Era::Legacy));
            let (status, _) = exchange(address, &unknown)?;
            ensure!(status == 401, "without a key it answers {status}, not 401");
        }
        let metrics = get(address, "/metrics", &bearer(&self.key));
        let (_, metrics) = exchange(address, &metrics)?;
        ensure!(
            find(&metrics, b"tool=\"echo\"").is_some(),
            "the metrics know nothing of the tool"
        );
        if self.has(Part::Audit) {
            let lines = BufReader::new(File::open(self.audit_log())?)
                .lines()
                .count() as u64;
            ensure!(
                lines >= calls,
                "the audit log has {lines} lines for {calls} calls"
            );
        }
        let spans = (self.collector.spans().len() - self.spans_before) as u64;
        ensure!(
            !self.has(Part::Traces)
                || calls < TRACED_FROM
                || (calls / 1_000..calls / 10).contains(&spans),
            "{spans} spans came to the collector for {calls} calls"
        );
        Ok(())
    }
}
