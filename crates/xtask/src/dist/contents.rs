//! What is in the archive, and where.
//!
//! `bin` and `share` are laid out as in `/usr/local`, so that copying the two there installs them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::archive::Entry;
use super::program::Runner;
use crate::origin::Origin;
use crate::sbom::{self, BINARIES, Inventory};

/// The folder of each shell's completions, and what stands before and behind the program's name.
const SHELLS: [(&str, &str, &str, &str); 3] = [
    ("bash", "share/bash-completion/completions", "", ""),
    ("zsh", "share/zsh/site-functions", "_", ""),
    ("fish", "share/fish/vendor_completions.d", "", ".fish"),
];

/// All entries, with the binaries from `folder`.
pub(super) fn contents(
    inventory: &Inventory,
    origin: &Origin,
    folder: &Path,
) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let runner = Runner::new(&inventory.target)?;
    for binary in BINARIES {
        let program = folder.join(binary);
        entries.push(Entry {
            path: format!("bin/{binary}"),
            program: true,
            content: read(&program)?,
        });
        entries.extend(pages(&runner, &program, binary)?);
    }
    for (name, content) in sbom::files(inventory, &BINARIES, Some(origin))? {
        let path = match name.as_str() {
            sbom::LICENCES => name,
            _ => format!("sbom/{name}"),
        };
        entries.push(Entry::text(path, content));
    }
    for name in ["README.md", "CHANGELOG.md", "LICENSE"] {
        entries.push(Entry::text(name, read(&inventory.repository.join(name))?));
    }
    entries.extend(docs(&inventory.repository)?);
    Ok(entries)
}

/// Completions and man pages, which the binary itself writes.
pub(super) fn pages(runner: &Runner, program: &Path, name: &str) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (shell, place, before, behind) in SHELLS {
        let text = runner.ask(program, &["completions", shell])?;
        ensure!(text.contains(name), "{name} has no completions for {shell}");
        entries.push(Entry::text(format!("{place}/{before}{name}{behind}"), text));
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_str().context("a temporary folder")?;
    runner.ask(program, &["man", path])?;
    for (page, content) in files(folder.path())? {
        entries.push(Entry::text(format!("share/man/man1/{page}"), content));
    }
    Ok(entries)
}

fn docs(repository: &Path) -> anyhow::Result<Vec<Entry>> {
    let pages = files(&repository.join("docs"))?;
    Ok(pages
        .into_iter()
        .filter(|(name, _)| name.ends_with(".md"))
        .map(|(name, content)| Entry::text(format!("docs/{name}"), content))
        .collect())
}

/// The files in a folder, by name.
fn files(folder: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, read(&entry.path())?));
        }
    }
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}
