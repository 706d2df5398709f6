//! `cargo xtask dist`: the archive of a release.

mod archive;
mod build;
mod checksums;
mod contents;
mod program;
mod verify;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use mcp_testkit::fetched::repository;

use crate::changelog;
use crate::chaos::say;
use crate::origin::Origin;
use crate::sbom::{BINARIES, Inventory, host};

/// The version of all crates of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds the release binaries, and packs them into mcp-hybrid-{version}-{target}.tar.gz, with SHA256SUMS beside it.
///
/// In the archive: the binaries, stripped; completions for bash, zsh and fish; man pages; README, CHANGELOG, LICENSE and docs; a
/// CycloneDX document for each binary, and the licences of what is inside with their texts.
///
/// Times in the archive are that of the commit, entries are sorted, and no path of this machine is in a binary, so that the same
/// binaries always give the same archive. A tree with changes that are not committed is refused. What is checked before
/// anything is packed: the binaries link those libraries of the system that the CycloneDX documents leave out, and the documents
/// name exactly what cargo compiled. At the end the archive is unpacked, and each binary in it says its version and its help.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "Examples:
  cargo xtask dist                                    for this machine, into dist/
  cargo xtask dist --target aarch64-unknown-linux-gnu
                                                      needs rustup's target, a linker and the libraries for it, and to run what it
                                                      built: CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L …'
  cargo xtask dist --allow-dirty                      a trial; the archive is mcp-hybrid-{version}+dirty-{target}.tar.gz
  (cd dist && sha256sum --check SHA256SUMS)           what somebody who downloads it does

The binaries are built in target/{target}/dist, by the profile \"dist\" of the root Cargo.toml. RUSTFLAGS are not passed on.")]
pub(crate) struct Options {
    /// What to build for, as cargo names it [default: this machine]
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// The folder to write to
    #[arg(long, value_name = "FOLDER", default_value = "dist")]
    out: PathBuf,
    /// Build also what is not committed
    #[arg(long)]
    allow_dirty: bool,
    /// Build nothing, and pack the binaries in this folder: they are not looked into
    #[arg(long, value_name = "FOLDER")]
    binaries: Option<PathBuf>,
}

/// Builds, packs and verifies a release.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let repository = repository();
    let origin = Origin::read(&repository)?;
    refuse_changes(&origin, options.allow_dirty)?;
    let text = fs::read_to_string(repository.join("CHANGELOG.md")).context("CHANGELOG.md")?;
    if changelog::released(&text, VERSION)?.is_none() {
        say(&format!(
            "dist: by CHANGELOG.md {VERSION} is not released yet"
        ));
    }
    let target = match &options.target {
        Some(target) => target.clone(),
        None => host()?,
    };
    let name = archive_name(VERSION, &origin, &target);
    say(&format!("dist: {name} from commit {}", origin.commit));

    let inventory = Inventory::read(&repository, &BINARIES, &target)?;
    let binaries = match &options.binaries {
        Some(folder) => folder.clone(),
        None => {
            let folder = build::build(&inventory, &origin)?;
            refuse_edits(&origin, &Origin::read(&repository)?)?;
            folder
        }
    };
    say("dist: completions, man pages, bills of material, licences");
    let entries = contents::contents(&inventory, &origin, &binaries)?;
    let out = repository.join(&options.out);
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    let file = format!("{name}.tar.gz");
    let packed = archive::pack(&name, &entries, origin.seconds)?;
    fs::write(out.join(&file), &packed).with_context(|| file.clone())?;
    checksums::add(&out, &file, &packed)?;
    say(&format!(
        "dist: {file}: {} files, {:.1} MiB",
        entries.len(),
        packed.len() as f64 / f64::from(1 << 20)
    ));
    verify::verify(&out, &name, &target)?;
    say(&format!("dist: {}", out.join(&file).display()));
    Ok(())
}

fn refuse_changes(origin: &Origin, allowed: bool) -> anyhow::Result<()> {
    ensure!(
        origin.changed.is_empty() || allowed,
        "not as in commit {}:\n  {}\ncommit it, or use --allow-dirty for a trial",
        origin.commit,
        origin.changed.join("\n  ")
    );
    Ok(())
}

/// A build takes so long that somebody may go on with their work meanwhile, and nobody knows what of it was compiled.
fn refuse_edits(before: &Origin, after: &Origin) -> anyhow::Result<()> {
    ensure!(
        before == after,
        "files were changed during the build (commit {} and then {}, not committed: {:?} and then {:?}): start anew",
        before.commit,
        after.commit,
        before.changed,
        after.changed
    );
    Ok(())
}

/// The archive's name without its ending, which is the name of the folder in it as well.
fn archive_name(version: &str, origin: &Origin, target: &str) -> String {
    let dirty = match origin.changed.is_empty() {
        true => "",
        false => "+dirty",
    };
    format!("mcp-hybrid-{version}{dirty}-{target}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(changed: &[&str]) -> Origin {
        Origin {
            commit: "c".to_owned(),
            seconds: 0,
            time: String::new(),
            changed: changed.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn uncommitted_sources_are_refused_or_stand_in_the_name() {
        let clean = origin(&[]);
        assert_eq!(archive_name("1.2.3", &clean, "t"), "mcp-hybrid-1.2.3-t");
        assert!(refuse_changes(&clean, false).is_ok());
        let dirty = origin(&["?? new"]);
        let name = archive_name("1.2.3", &dirty, "t");
        assert_eq!(name, "mcp-hybrid-1.2.3+dirty-t");
        assert!(refuse_changes(&dirty, true).is_ok());
        let error = refuse_changes(&dirty, false).unwrap_err().to_string();
        assert!(
            error.contains("?? new") && error.contains("--allow-dirty"),
            "{error}"
        );
    }

    #[test]
    fn what_is_edited_during_the_build_is_noticed() {
        let before = origin(&["?? new"]);
        assert!(refuse_edits(&before, &before.clone()).is_ok());
        let after = origin(&["?? new", " M edited"]);
        let error = refuse_edits(&before, &after).unwrap_err().to_string();
        assert!(error.contains(" M edited"), "{error}");
    }
}
