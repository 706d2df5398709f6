//! The licences of what is inside the binaries, with their texts as they lie in the packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::inventory::{Inventory, Package};
use super::native;
use super::tree::Id;

/// How the names of files with licences and copyright notices begin.
const BEGINNINGS: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];
/// Largest file that is taken, in bytes.
const LARGEST: u64 = 256 * 1024;
const MIT: &str = include_str!("mit.txt");
const RULE: &str =
    "--------------------------------------------------------------------------------";

/// The list: what is inside and under which licence, then each text once, with those that it belongs to.
///
/// # Errors
///
/// A package has no text, and none can be found for it.
pub(super) fn list(inventory: &Inventory, binaries: &[&str]) -> anyhow::Result<String> {
    let inside: BTreeSet<Id> = binaries
        .iter()
        .flat_map(|binary| inventory.inside(binary))
        .collect();
    let foreign: Vec<&Package> = inside
        .iter()
        .map(|id| inventory.package(id))
        .filter(|package| !matches!(package, Ok(package) if package.checksum.is_none()))
        .collect::<anyhow::Result<_>>()?;

    let mut rows = Vec::new();
    let mut texts = Texts::default();
    for package in &foreign {
        rows.push((package.id.to_string(), package.licence.clone()));
        for text in texts_of(package, inventory)? {
            texts.add(&text, &package.id.to_string());
        }
        if let Some(library) = native::compiled_in(inventory, package)? {
            let name = format!(
                "{} {} (C, in {})",
                library.name, library.version, package.id.name
            );
            rows.push((name.clone(), library.licence.to_owned()));
            texts.add(&library.text, &name);
        }
    }
    let standard = format!("rust-std {} (Rust's standard library)", inventory.rust);
    rows.push((standard.clone(), "MIT OR Apache-2.0".to_owned()));
    texts.add(&apache(inventory)?, &standard);

    let mut out = format!(
        "Licences of what is inside {}, {}\n\n\
         Made by `cargo xtask sbom` from the packages themselves. Where a licence is a choice (OR), any of them may be chosen.\n\
         The programs themselves are under the Apache License 2.0: see LICENSE.\n\n",
        binaries.join(", "),
        inventory.target
    );
    rows.sort();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, licence) in rows {
        writeln!(out, "{name:width$}  {licence}")?;
    }
    texts.write(&mut out)?;
    Ok(out)
}

/// Texts in the order of their first owner, each once.
#[derive(Default)]
struct Texts {
    owners: BTreeMap<String, BTreeSet<String>>,
}

impl Texts {
    /// Texts that differ in blanks at the ends of lines only are one.
    fn add(&mut self, text: &str, owner: &str) {
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        let text = lines.join("\n").trim_matches('\n').to_owned();
        self.owners
            .entry(text)
            .or_default()
            .insert(owner.to_owned());
    }

    fn write(self, out: &mut String) -> std::fmt::Result {
        let mut texts: Vec<_> = self.owners.into_iter().collect();
        texts.sort_by(|(text, owners), (other, others)| (owners, text).cmp(&(others, other)));
        for (text, owners) in texts {
            let owners: Vec<_> = owners.into_iter().collect();
            write!(out, "\n{RULE}\n{}\n{RULE}\n\n{text}\n", owners.join("\n"))?;
        }
        Ok(())
    }
}

/// The texts that a package comes with; for one that comes with none, those of a sibling from the same repository, or the
/// standard text if it is under the Apache License, or else under MIT's.
fn texts_of(package: &Package, inventory: &Inventory) -> anyhow::Result<Vec<String>> {
    let own = files(&package.folder)?;
    if !own.is_empty() {
        return Ok(own);
    }
    let siblings = inventory.packages().filter(|other| {
        other.repository.is_some()
            && other.repository == package.repository
            && other.licence == package.licence
    });
    for sibling in siblings {
        let texts = files(&sibling.folder)?;
        if !texts.is_empty() {
            return Ok(texts);
        }
    }
    if package.licence.split(' ').any(|word| word == "Apache-2.0") {
        return Ok(vec![apache(inventory)?]);
    }
    if package.licence.split(' ').any(|word| word == "MIT") {
        return Ok(vec![mit(package)]);
    }
    bail!(
        "{} comes without the text of its licence ({}): it may not be passed on like that",
        package.id,
        package.licence
    )
}

/// The text of the MIT licence (SPDX), with those who hold the copyright as far as the package tells.
fn mit(package: &Package) -> String {
    let place = package.repository.as_ref().map(|url| format!(" ({url})"));
    let holders = format!(
        "the authors of {}{}",
        package.id.name,
        place.unwrap_or_default()
    );
    MIT.replace("HOLDERS", &holders)
}

/// The text of the Apache License 2.0: this repository's own licence.
fn apache(inventory: &Inventory) -> anyhow::Result<String> {
    let path = inventory.repository.join("LICENSE");
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The contents of the files in `folder` that are named like a licence, by name.
fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let kind = entry.metadata()?;
        let fits = kind.is_file() && kind.len() <= LARGEST;
        if fits
            && BEGINNINGS
                .iter()
                .any(|beginning| name.starts_with(beginning))
        {
            paths.push(entry.path());
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let bytes = fs::read(path).with_context(|| path.display().to_string())?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_stands_once_with_all_that_it_belongs_to() {
        let mut texts = Texts::default();
        texts.add("B\r\n", "second 1.0.0");
        texts.add("\nA  \nA\n", "third 1.0.0");
        texts.add("A\nA", "first 1.0.0");
        let mut out = String::new();
        texts.write(&mut out).expect("written to memory");
        let wanted = format!(
            "\n{RULE}\nfirst 1.0.0\nthird 1.0.0\n{RULE}\n\nA\nA\n\n{RULE}\nsecond 1.0.0\n{RULE}\n\nB\n"
        );
        assert_eq!(out, wanted);
    }

    #[test]
    fn files_with_licences_are_known_by_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [("license-mit", "m"), ("Copyright", "c"), ("README.md", "r")] {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        fs::create_dir(folder.path().join("LICENSES")).expect("a folder");
        assert_eq!(files(folder.path()).expect("readable"), ["c", "m"]);
    }
}
