//! Where and with what was measured.

use std::fs;
use std::process::Command;

use mcp_core::Clock;
use mcp_testkit::fetched::repository;
use rdkafka::util::get_rdkafka_version;

/// The machine, and the versions.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) hardware: String,
    /// What else ran when this was read: the load average of a minute.
    pub(crate) load: f64,
    pub(crate) versions: String,
    pub(crate) command: String,
}

impl Machine {
    /// Reads what can be read; what cannot is `unknown`.
    pub(crate) fn read() -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
        let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(unknown);
        let gib = memory.trim_end_matches(" kB").parse::<f64>();
        let memory = gib.map_or(memory.clone(), |kib| {
            format!("{:.0} GiB", kib / 1024.0 / 1024.0)
        });
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| unknown());
        let (_, librdkafka) = get_rdkafka_version();
        let java = output("java", &["-version"]);
        let java = java.lines().next().unwrap_or("unknown").to_owned();
        let root = repository();
        let status = output(
            "git",
            &[
                "-C",
                &root.display().to_string(),
                "status",
                "--porcelain",
                "-uno",
            ],
        );
        let head = output(
            "git",
            &[
                "-C",
                &root.display().to_string(),
                "rev-parse",
                "--short",
                "HEAD",
            ],
        );
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            date: Clock::System.now().format("%Y-%m-%d %H:%M UTC").to_string(),
            commit: match status.trim() {
                "" => head.trim().to_owned(),
                _ => format!("{}, with changes", head.trim()),
            },
            hardware: format!(
                "{cores} cores, {cpu}, {memory} of memory, Linux {}",
                kernel.trim()
            ),
            load: load(),
            versions: format!(
                "kafka-worker {}, librdkafka {librdkafka}, Apache Kafka {}, Parallel Consumer {}, {java}",
                env!("CARGO_PKG_VERSION"),
                jar_version("kafka", "kafka-clients-"),
                jar_version("parallel-consumer", "parallel-consumer-core-"),
            ),
            command: format!("scripts/bench {}", arguments.join(" "))
                .trim()
                .to_owned(),
        }
    }
}

/// The first number of the load averages.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Both streams of a program; nothing if it fails to start.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| {
            let text = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&text).into_owned()
        },
    )
}

/// The version in the name of a fetched jar.
fn jar_version(folder: &str, prefix: &str) -> String {
    let folder = repository().join(".cache").join(folder);
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut versions = names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let version = name.strip_prefix(prefix)?.strip_suffix(".jar")?;
        Some(version.to_owned())
    });
    versions.next().unwrap_or_else(unknown)
}
