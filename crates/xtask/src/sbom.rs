//! `cargo xtask sbom`: what is inside the binaries, for programs (CycloneDX) and for people (licences with their texts).

mod document;
mod inventory;
mod licences;
mod native;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use mcp_testkit::fetched::repository;

use crate::chaos::say;
use crate::origin::Origin;

pub(crate) use self::inventory::{Inventory, cargo_program, host};
pub(crate) use self::native::linked;

/// The binaries of a release; each has its crate's name.
pub(crate) const BINARIES: [&str; 3] = ["mcp-server", "kafka-worker", "mcp-hybrid"];
/// The file with the licences and their texts.
pub(crate) const LICENCES: &str = "THIRD-PARTY-LICENSES.txt";

/// Writes a CycloneDX 1.6 document for each binary, and one list of the licences with their texts.
///
/// The documents name what is compiled for a binary on the target, with the features that it is built with: crates, the C
/// libraries inside them, and Rust's standard library. What only builds it (procedural macros, build scripts) has the scope
/// "excluded", and no place in the list of licences. No test dependency is in them. They depend on nothing but the sources:
/// the same commit gives the same bytes.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "Examples:
  cargo xtask sbom                                  target/sbom/{mcp-server,kafka-worker,mcp-hybrid}.cdx.json
                                                    and target/sbom/THIRD-PARTY-LICENSES.txt
  cargo xtask sbom --package mcp-server --out sbom  of a binary that is built alone, as in an image")]
pub(crate) struct Options {
    /// The binaries that are built together; what they have in common gets the features of all [default: all three]
    #[arg(long, value_name = "CRATE", value_delimiter = ',', default_values = BINARIES, value_parser = BINARIES, hide_default_value = true)]
    package: Vec<String>,
    /// What they are built for, as cargo names it [default: this machine]
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// The folder to write to
    #[arg(long, value_name = "FOLDER", default_value = "target/sbom")]
    out: PathBuf,
}

/// Writes what was asked for.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let target = match &options.target {
        Some(target) => target.clone(),
        None => host()?,
    };
    let binaries: Vec<_> = options.package.iter().map(String::as_str).collect();
    let inventory = Inventory::read(&repository(), &binaries, &target)?;
    // In an image's build there is no git: then the documents say no commit and no time.
    let origin = Origin::read(&repository()).ok();
    if origin.is_none() {
        say("sbom: no git here: the documents name no commit");
    }
    let out = repository().join(&options.out);
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    for (name, content) in files(&inventory, &binaries, origin.as_ref())? {
        write(&out.join(name), &content)?;
    }
    Ok(())
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| path.display().to_string())?;
    say(&format!("sbom: {}", path.display()));
    Ok(())
}

/// All files by name: a document for each binary, and the list of licences.
pub(crate) fn files(
    inventory: &Inventory,
    binaries: &[&str],
    origin: Option<&Origin>,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for binary in binaries {
        let document = document::document(inventory, binary, origin)?;
        let text = serde_json::to_string_pretty(&document)? + "\n";
        files.push((format!("{binary}.cdx.json"), text));
    }
    let licences = licences::list(inventory, binaries)?;
    files.push((LICENCES.to_owned(), licences));
    Ok(files)
}

#[cfg(test)]
mod tests;
