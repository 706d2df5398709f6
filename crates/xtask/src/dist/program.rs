//! Running what was built, for this machine or for another.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::sbom::host;

/// How programs of a target are started here.
pub(super) struct Runner(Option<String>);

impl Runner {
    /// Programs of another machine need cargo's own variable for that, `CARGO_TARGET_…_RUNNER`.
    ///
    /// # Errors
    ///
    /// The variable is not set.
    pub(super) fn new(target: &str) -> anyhow::Result<Self> {
        let variable = format!(
            "CARGO_TARGET_{}_RUNNER",
            target.to_uppercase().replace('-', "_")
        );
        let runner = std::env::var(&variable).ok();
        ensure!(
            runner.is_some() || target == host()?,
            "{variable} is not set: programs for {target} do not run here, and what is in an archive is run before it goes out"
        );
        Ok(Self(runner))
    }

    /// What a program prints when it is given these arguments.
    ///
    /// # Errors
    ///
    /// It does not start, or does not succeed, or prints no text.
    pub(super) fn ask(&self, program: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        let mut words: Vec<PathBuf> = Vec::new();
        if let Some(runner) = &self.0 {
            words.extend(runner.split_whitespace().map(PathBuf::from));
        }
        words.push(program.to_owned());
        let asked = || format!("{} {}", program.display(), arguments.join(" "));
        let output = Command::new(&words[0])
            .args(&words[1..])
            .args(arguments)
            .output()
            .with_context(|| format!("{} does not start", asked()))?;
        ensure!(
            output.status.success(),
            "{} failed: {}",
            asked(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        String::from_utf8(output.stdout).with_context(asked)
    }
}
