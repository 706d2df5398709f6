//! Where and with what was measured.

use std::fs;
use std::process::Command;

use mcp_core::Clock;
use mcp_testkit::fetched::repository;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::progress::say;

/// Up to this load average a machine counts as idle.
const IDLE: f64 = 0.7;

/// The machine, and the versions.
#[derive(Clone, Debug)]
pub struct Machine {
    /// When it was read.
    pub date: String,
    /// The commit, and whether the tree differs from it.
    pub commit: String,
    /// Cores, processor, memory, kernel.
    pub hardware: String,
    /// What else ran when this was read: the load average of a minute.
    pub load: f64,
    /// Of what is measured.
    pub versions: String,
    /// What was typed.
    pub command: String,
}

impl Machine {
    /// Reads what can be read; what cannot is `unknown`. `bench` is the benchmark's name for `scripts/bench`.
    pub fn read(bench: &str, versions: String) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(unknown);
        let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(unknown);
        let gib = memory.trim_end_matches(" kB").parse::<f64>();
        let memory = gib.map_or(memory.clone(), |kib| {
            format!("{:.0} GiB", kib / 1024.0 / 1024.0)
        });
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_else(|_| unknown());
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
            versions,
            command: format!("scripts/bench {bench} {}", arguments.join(" "))
                .trim()
                .to_owned(),
        }
    }

    /// Tells whoever watches if it has other things to do.
    pub fn warn_if_busy(&self) {
        if self.load > IDLE {
            say(format_args!(
                "this machine has other things to do (load {:.2}): expect wrong numbers",
                self.load
            ));
        }
    }
}

/// Many connections need more open files than many systems allow by default. Children inherit it.
pub fn allow_connections() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, a cell fails by itself if the limit is too low for it.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The first number of the load averages.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// What stands for what can't be read.
pub fn unknown() -> String {
    "unknown".to_owned()
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Both streams of a program; nothing if it fails to start.
pub fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| {
            let text = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&text).into_owned()
        },
    )
}
