//! Starting what is measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use mcp_testkit::{Process, fetched};
use tempfile::TempDir;

use crate::plan::{Ordering, System};

/// Size of a request's body, in bytes. It is what kafka-worker sends for a job; the others fill theirs up to it.
pub(crate) const BODY_BYTES: usize = 510;
/// Every JVM default but this: a quarter of the machine as heap would make its memory meaningless.
const HEAP: &str = "-Xmx512m";
const JAVA_MAIN: &str = "ParallelConsumerLoop";

/// Where the programs are.
pub(crate) struct Programs {
    worker: PathBuf,
    this: PathBuf,
    java_classes: Option<TempDir>,
}

/// What one process is told.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) port: u16,
    pub(crate) concurrency: usize,
    pub(crate) ordering: Ordering,
    pub(crate) session_ms: u32,
}

impl Programs {
    /// Looks for them, and compiles the Java program if it is to be measured.
    pub(crate) fn find(systems: &[System]) -> anyhow::Result<Self> {
        let this = std::env::current_exe()?;
        let worker = this.with_file_name("kafka-worker");
        ensure!(
            worker.exists() || !systems.contains(&System::Ours),
            "{} is missing: use scripts/bench, or cargo build --release -p kafka-worker",
            worker.display()
        );
        let java_classes = match systems.contains(&System::Pc) {
            true => Some(compile_java()?),
            false => None,
        };
        Ok(Self {
            worker,
            this,
            java_classes,
        })
    }

    /// A stub server, and the port it serves.
    pub(crate) async fn stub(&self, latency_ms: u64) -> anyhow::Result<(Process, u16)> {
        let mut process = Process::builder(&self.this)
            .named("the stub")
            .args(["stub", "--latency-ms", &latency_ms.to_string()])
            .start();
        let within = std::time::Duration::from_secs(10);
        let line = process.wait_for_line("listening on ", within).await;
        let port = line.rsplit_once(':').context("the stub's address")?.1;
        Ok((process, port.parse()?))
    }

    pub(crate) fn start(&self, system: System, launch: &Launch) -> anyhow::Result<Process> {
        Ok(match system {
            System::Ours => self.start_ours(launch),
            System::Pc => self.start_java(launch)?,
            System::Floor => Process::builder(&self.this)
                .named(system.name())
                .arg("floor")
                .args(options(launch))
                .start(),
        })
    }

    fn start_ours(&self, launch: &Launch) -> Process {
        Process::builder(&self.worker)
            .named(System::Ours.name())
            .env("KAFKA_BROKERS", &launch.brokers)
            .env("KAFKA_TOPIC", &launch.topic)
            .env("MCP_CONSUMER_GROUP", &launch.group)
            .env(
                "MCP_SERVER_URL",
                format!("http://127.0.0.1:{}", launch.port),
            )
            .env("WORKER_CONCURRENCY", launch.concurrency)
            .env(
                "WORKER_ORDERING",
                match launch.ordering {
                    Ordering::Key => "key",
                    Ordering::Unordered => "unordered",
                },
            )
            .env("KAFKA_PROPERTY_SESSION_TIMEOUT_MS", launch.session_ms)
            .env(
                "KAFKA_PROPERTY_HEARTBEAT_INTERVAL_MS",
                launch.session_ms / 3,
            )
            // The others write no line a job either.
            .env(
                "RUST_LOG",
                std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".into()),
            )
            .env("ADMIN_PORT", 0)
            .env("ADMIN_BIND", "127.0.0.1")
            .start()
    }

    fn start_java(&self, launch: &Launch) -> anyhow::Result<Process> {
        let classes = self.java_classes.as_ref().context("compiled classes")?;
        let ordering = match launch.ordering {
            Ordering::Key => "KEY",
            Ordering::Unordered => "UNORDERED",
        };
        Ok(Process::builder("java")
            .named(System::Pc.name())
            .args([HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"])
            .arg(format!("{}:{}", classes.path().display(), java_jars()?))
            .arg(JAVA_MAIN)
            .args(options(launch))
            .args(["--ordering", ordering])
            .start())
    }
}

/// The floor's options, which are the Java program's too.
fn options(launch: &Launch) -> Vec<String> {
    let url = format!("http://127.0.0.1:{}/message", launch.port);
    let pairs = [
        ("--brokers", launch.brokers.clone()),
        ("--topic", launch.topic.clone()),
        ("--group", launch.group.clone()),
        ("--url", url),
        ("--concurrency", launch.concurrency.to_string()),
        ("--body-bytes", BODY_BYTES.to_string()),
        ("--session-ms", launch.session_ms.to_string()),
    ];
    let pairs = pairs.into_iter();
    pairs
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
}

fn java_jars() -> anyhow::Result<String> {
    let jars = fetched::repository().join(".cache/parallel-consumer");
    ensure!(
        jars.is_dir(),
        "{} is missing: scripts/setup bench fetches Parallel Consumer",
        jars.display()
    );
    Ok(jars.join("*").display().to_string())
}

fn compile_java() -> anyhow::Result<TempDir> {
    let classes = TempDir::with_prefix("bench-worker-")?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("java")
        .join(format!("{JAVA_MAIN}.java"));
    let output = Command::new("javac")
        .args(["--release", "17", "-cp", &java_jars()?, "-d"])
        .arg(classes.path())
        .arg(source)
        .output()
        .context("javac does not start: scripts/setup bench installs it")?;
    ensure!(
        output.status.success(),
        "javac: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(classes)
}
