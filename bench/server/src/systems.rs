//! Starting what is measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bench_kit::clock::{monotonic_ns, pause};
use bench_kit::machine::unknown;
use mcp_testkit::fetched::repository;
use mcp_testkit::{Process, free_port};
use serde_json::json;

use crate::call::{bearer, checked_answer, exchange, post, request};
use crate::everything::Everything;
use crate::load::Call;
use crate::plan::{Era, System};

/// How long a start may take.
const START: Duration = Duration::from_secs(30);
/// Between two looks whether it has started.
const LOOK: Duration = Duration::from_millis(1);

/// Where the programs are.
pub(crate) struct Programs {
    this: PathBuf,
    cache: PathBuf,
}

/// A system that answers.
pub(crate) struct Running {
    pub(crate) system: System,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// From just before the start to the first good answer.
    pub(crate) start_ms: f64,
}

impl Programs {
    /// Looks for the binaries of this workspace.
    ///
    /// # Errors
    /// When one is missing.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let programs = Self {
            this: std::env::current_exe()?,
            cache: repository().join(".cache"),
        };
        for system in [System::Shipped, System::Ours, System::Rmcp, System::Floor] {
            let path = programs.path(system);
            ensure!(
                path.exists(),
                "{} is missing: use scripts/bench server",
                path.display()
            );
        }
        Ok(programs)
    }

    /// The binary of mcp-server.
    pub(crate) fn server(&self) -> PathBuf {
        self.path(System::Shipped)
    }

    /// Why a system can't be measured here, if so.
    pub(crate) fn missing(&self, system: System) -> Option<String> {
        let path = self.path(system);
        (!path.exists()).then(|| {
            let shown = path.strip_prefix(repository()).unwrap_or(&path);
            format!(
                "{} is not measured: {} is missing, which scripts/setup bench-server gets where it can",
                system.name(),
                shown.display()
            )
        })
    }

    /// What is measured, in a line.
    pub(crate) fn versions(&self) -> String {
        let read = |path: &str| std::fs::read_to_string(repository().join(path));
        let locked = read("Cargo.lock").unwrap_or_default();
        let of = |name: &str| {
            let named = format!("name = \"{name}\"\nversion = \"");
            between(&locked, &named, "\"").unwrap_or_else(unknown)
        };
        let modules = read("bench/server/go/go.mod").unwrap_or_default();
        let go = between(&modules, "go-sdk v", "\n").unwrap_or_else(unknown);
        let pinned = read("scripts/pinned/fastmcp.txt").unwrap_or_default();
        let fastmcp = between(&pinned, "\nfastmcp==", "\n").unwrap_or_else(unknown);
        format!(
            "mcp-server {}, rmcp {}, axum {}, tokio {}, Go SDK {go}, FastMCP {fastmcp}",
            env!("CARGO_PKG_VERSION"),
            of("rmcp"),
            of("axum"),
            of("tokio"),
        )
    }

    fn path(&self, system: System) -> PathBuf {
        match system {
            System::Ours => self.this.with_file_name("echo-ours"),
            System::Shipped => self.this.with_file_name("mcp-server"),
            System::Rmcp => self.this.with_file_name("echo-rmcp"),
            System::Floor => self.this.with_file_name("echo-floor"),
            System::Go => self.cache.join("go-echo/echo"),
            System::Fastmcp => self.cache.join("fastmcp/bin/python"),
        }
    }

    /// Starts it, and waits for its first good answer.
    ///
    /// # Errors
    /// When none comes.
    pub(crate) fn start(&self, system: System, on: &Everything) -> anyhow::Result<Running> {
        let port = free_port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut builder = Process::builder(self.path(system))
            .named(system.name())
            .env("PORT", port);
        builder = match system {
            System::Ours | System::Shipped => builder.envs(on.variables()),
            System::Fastmcp => {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
                builder.arg(folder.join("python/echo.py"))
            }
            System::Rmcp | System::Floor | System::Go => builder,
        };
        let began = monotonic_ns();
        let process = builder.start();
        let mut running = Running {
            system,
            process,
            address,
            start_ms: 0.0,
        };
        running.first_answer(on.key())?;
        running.start_ms = (monotonic_ns() - began) as f64 / 1e6;
        Ok(running)
    }
}

impl Running {
    fn first_answer(&mut self, key: &str) -> anyhow::Result<()> {
        let began = monotonic_ns();
        loop {
            let Err(error) = self.look(key) else {
                return Ok(());
            };
            let printed = self.process.output().join("\n");
            if let Some(status) = self.process.exited() {
                bail!("it ended with {status}: {printed}");
            }
            if Duration::from_nanos(monotonic_ns() - began) > START {
                return Err(error).with_context(|| format!("not within {START:?}: {printed}"));
            }
            pause(LOOK);
        }
    }

    fn look(&self, key: &str) -> anyhow::Result<()> {
        if self.system != System::Shipped {
            return self.call(Era::Legacy, key).map(|_| ());
        }
        // It has no tool to call, but answers all the same.
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"});
        let request = post(self.address, "/mcp", &bearer(key), &message);
        let (status, body) = exchange(self.address, &request)?;
        let text = String::from_utf8_lossy(&body);
        ensure!(status == 200, "answered with {status}: {text}");
        Ok(())
    }

    /// A call of the tool, and what has to come back.
    ///
    /// # Errors
    /// When it does not succeed.
    pub(crate) fn call(&self, era: Era, key: &str) -> anyhow::Result<Call> {
        let request = request(self.address, era, key);
        let good = checked_answer(self.system, era, self.address, &request)?;
        Ok(Call {
            address: self.address,
            request,
            good,
        })
    }
}

/// The text behind `before`, up to `after`.
fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0.to_owned())
}
