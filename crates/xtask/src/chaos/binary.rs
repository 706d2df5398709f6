//! Builds the worker that a run is about.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use mcp_testkit::fetched;

use super::Options;

/// The path of the worker; built unless the options name one.
pub(crate) fn worker(options: &Options) -> anyhow::Result<PathBuf> {
    if let Some(path) = &options.worker {
        ensure!(path.is_file(), "there is no {}", path.display());
        return Ok(path.clone());
    }
    let mutated = options.mutation.is_some() || options.prove_mutations.is_some();
    let mut target = fetched::repository().join("target");
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(fetched::repository()).args([
        "build",
        "--quiet",
        "--package",
        "kafka-worker",
        "--bin",
        "kafka-worker",
    ]);
    if options.release {
        build.arg("--release");
    }
    if mutated {
        // In a folder of its own, so that the worker with bugs never takes the place of the one without.
        target.push("mutations");
        build.args(["--features", "mutations"]);
    }
    build.arg("--target-dir").arg(&target);
    super::say("chaos: building the worker");
    let status = build.status().context("cargo does not start")?;
    ensure!(status.success(), "the worker does not build");
    let profile = match options.release {
        true => "release",
        false => "debug",
    };
    Ok(target.join(profile).join("kafka-worker"))
}
