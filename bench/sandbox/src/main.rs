#![doc = include_str!("../README.md")]

mod plain;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bench_kit::machine::Machine;
use bench_kit::progress::deliver;
use bench_kit::statistics::{Spread, percentile};
use clap::Parser as _;
use mcp_core::StdioServer;
use mcp_sandbox::{Folders, LaunchPolicy, Sandbox};
use tokio::time::Instant;

/// The bar: what boxing in may add to a start, in milliseconds.
const BAR: f64 = 15.0;
/// Starts of each kind that are not counted: files are read from the disk then.
const WARM_UP: u32 = 10;

/// Measures what boxing in adds to the start of a stdio server.
#[derive(Debug, clap::Parser)]
#[command(name = "scripts/bench sandbox", version)]
struct Settings {
    /// Starts of each kind
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    starts: u32,
    /// The launcher [default: mcp-server, beside this program]
    #[arg(long, value_name = "FILE")]
    launcher: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    mcp_sandbox::launcher::run_if_requested();
    let settings = Settings::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run(&settings))
}

async fn run(settings: &Settings) -> anyhow::Result<()> {
    let beside = std::env::current_exe()?;
    let server = beside.with_file_name("stdio-server");
    let launcher = match &settings.launcher {
        Some(path) => path.clone(),
        None => beside.with_file_name("mcp-server"),
    };
    ensure!(launcher.exists(), "{} is not there", launcher.display());
    let machine = Machine::read("sandbox", String::new());
    machine.warn_if_busy();

    let sandbox = sandbox(&server, &launcher)?;
    let missing = sandbox.missing().await.map_err(anyhow::Error::msg)?;
    let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let (mut boxed, mut plain) = (Vec::new(), Vec::new());
    for turn in 0..WARM_UP + settings.starts {
        let times = (
            boxed_start(&sandbox, &server).await?,
            plain::start(&server).await?,
        );
        if turn >= WARM_UP {
            boxed.push(millis(times.0));
            plain.push(millis(times.1));
        }
    }
    sandbox.drained().await;
    report(&machine, &missing, &boxed, &plain)
}

fn sandbox(server: &Path, launcher: &Path) -> anyhow::Result<Sandbox> {
    let name = server
        .to_str()
        .context("the path of the server is not UTF-8")?;
    let lookup = |_: &str| None;
    let policy = LaunchPolicy::allow_commands(&[name.to_owned()], Folders::default(), &lookup)?;
    Ok(Sandbox::with_launcher(policy, launcher.to_owned()))
}

async fn boxed_start(sandbox: &Sandbox, server: &Path) -> anyhow::Result<Duration> {
    let server = StdioServer {
        command: server.to_string_lossy().into_owned(),
        args: Vec::new(),
        env: Default::default(),
        env_file: None,
    };
    let began = Instant::now();
    let result = sandbox.initialize("bench", "bench", &server).await?;
    let took = began.elapsed();
    ensure!(result.tools.len() == 1, "{:?}", result.tools);
    Ok(took)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn report(
    machine: &Machine,
    missing: &[String],
    boxed: &[f64],
    plain: &[f64],
) -> anyhow::Result<()> {
    let numbers = |times: &[f64]| -> anyhow::Result<(f64, f64)> {
        let median = Spread::of(times).map(|spread| spread.median);
        median
            .zip(percentile(times, 95.0))
            .context("nothing was measured")
    };
    let (sandbox, alone) = (numbers(boxed)?, numbers(plain)?);
    let more = (sandbox.0 - alone.0, sandbox.1 - alone.1);
    let mut text = format!(
        "{}, at commit {}, {}, load {:.2}\n\n| {} starts of each | median, ms | p95, ms |\n|---|---:|---:|\n",
        machine.date,
        machine.commit,
        machine.hardware,
        machine.load,
        boxed.len()
    );
    for (name, (median, p95)) in [("sandbox", sandbox), ("plain", alone), ("more", more)] {
        writeln!(text, "| {name} | {median:.1} | {p95:.1} |")?;
    }
    if !missing.is_empty() {
        writeln!(
            text,
            "\nLayers that are missing here: {}.",
            missing.join("; ")
        )?;
    }
    let is_met = more.0 <= BAR;
    let verdict = if is_met { "met" } else { "**not met**" };
    write!(
        text,
        "\nThe bar, at most {BAR} ms more in the median: {verdict}."
    )?;
    deliver(&text, None)?;
    ensure!(is_met, "the bar is not met");
    Ok(())
}
