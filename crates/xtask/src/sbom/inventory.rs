//! The packages that the binaries are made from: which, from `cargo tree`; what they are, from `cargo metadata` and Cargo.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use mcp_testkit::fetched::repository;
use serde::Deserialize;

use super::tree::{Id, Tree};

/// A package, with what there is to tell of it.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// Name and version.
    pub(crate) id: Id,
    /// Cargo's own name for it, which messages of a build use.
    pub(crate) cargo_id: String,
    /// One line.
    pub(crate) description: Option<String>,
    /// A licence expression of SPDX.
    pub(crate) licence: String,
    /// Where its sources are developed.
    pub(crate) repository: Option<String>,
    /// Its sources, here.
    pub(crate) folder: PathBuf,
    /// The native library that it claims, if any.
    pub(crate) links: Option<String>,
    /// Those of its features that are switched on for anything in the workspace.
    pub(crate) features: BTreeSet<String>,
    /// SHA-256 of the package as the registry has it; `None` for the crates of this workspace.
    pub(crate) checksum: Option<String>,
}

/// What is built, and from what.
pub(crate) struct Inventory {
    packages: BTreeMap<Id, Package>,
    everything: Tree,
    inside: Tree,
    /// What it is built for, as cargo names it.
    pub(crate) target: String,
    /// The compiler's version, which is the standard library's.
    pub(crate) rust: String,
    /// The root of the repository.
    pub(crate) repository: PathBuf,
    /// Where cargo builds.
    pub(crate) target_folder: PathBuf,
    /// Where the compiler and its libraries are.
    pub(crate) sysroot: PathBuf,
}

impl Inventory {
    /// Asks cargo about `binaries`, built together for `target`.
    ///
    /// # Errors
    ///
    /// Cargo fails, or a package has no licence.
    pub(crate) fn read(repository: &Path, binaries: &[&str], target: &str) -> anyhow::Result<Self> {
        let tree = |edges: &str| -> anyhow::Result<Tree> {
            let mut arguments = vec!["tree", "--locked", "--target", target, "--edges", edges];
            arguments.extend(["--prefix", "depth", "--format", "{p}"]);
            for binary in binaries {
                arguments.extend(["--package", binary]);
            }
            Tree::parse(&cargo(repository, &arguments)?)
        };
        let metadata: Metadata = serde_json::from_str(&cargo(
            repository,
            &[
                "metadata",
                "--locked",
                "--format-version",
                "1",
                "--filter-platform",
                target,
            ],
        )?)
        .context("the output of cargo metadata")?;
        let lock: Lock = toml::from_str(&fs::read_to_string(repository.join("Cargo.lock"))?)?;
        let everything = tree("normal,build")?;
        let mut inventory = Self {
            packages: BTreeMap::new(),
            inside: tree("normal,no-proc-macro")?,
            everything,
            target: target.to_owned(),
            rust: rustc_says("release: ")?,
            repository: repository.to_owned(),
            target_folder: metadata.target_directory.clone(),
            sysroot: rustc(&["--print", "sysroot"])?.trim_end().into(),
        };
        let compiled: BTreeSet<Id> = binaries
            .iter()
            .map(|binary| inventory.everything(binary))
            .collect::<anyhow::Result<Vec<_>>>()?
            .concat()
            .into_iter()
            .collect();
        inventory.packages = packages(metadata, &lock, &compiled)?;
        Ok(inventory)
    }

    /// All that is compiled for a binary, itself included: what is inside, and what builds it.
    pub(crate) fn everything(&self, binary: &str) -> anyhow::Result<Vec<Id>> {
        let root = self.root(binary);
        let all = self.everything.reachable(&root);
        ensure!(all.len() > 1, "cargo tree knows no {root}");
        Ok(all.into_iter().collect())
    }

    /// What is inside a binary, itself included.
    pub(crate) fn inside(&self, binary: &str) -> BTreeSet<Id> {
        self.inside.reachable(&self.root(binary))
    }

    /// What a package depends on directly, with what builds it.
    pub(crate) fn direct(&self, id: &Id) -> impl Iterator<Item = &Id> {
        self.everything.direct(id)
    }

    /// What there is to tell of a package.
    pub(crate) fn package(&self, id: &Id) -> anyhow::Result<&Package> {
        self.packages
            .get(id)
            .with_context(|| format!("cargo metadata knows no {id}"))
    }

    /// All packages that are compiled for any of the binaries.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Package> {
        self.packages.values()
    }

    /// A binary as a package: all crates of the workspace have its version, which is this one's too.
    pub(crate) fn root(&self, binary: &str) -> Id {
        Id {
            name: binary.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

fn packages(
    metadata: Metadata,
    lock: &Lock,
    compiled: &BTreeSet<Id>,
) -> anyhow::Result<BTreeMap<Id, Package>> {
    let mut features: BTreeMap<_, _> = metadata
        .resolve
        .nodes
        .into_iter()
        .map(|node| (node.id, node.features))
        .collect();
    let checksums: BTreeMap<_, _> = lock
        .package
        .iter()
        .map(|one| ((&one.name, &one.version), &one.checksum))
        .collect();
    let mut packages = BTreeMap::new();
    for one in metadata.packages {
        let id = Id {
            name: one.name,
            version: one.version,
        };
        if !compiled.contains(&id) {
            continue;
        }
        let licence = one
            .license
            .with_context(|| format!("{id} names no licence in its manifest"))?;
        let checksum = checksums
            .get(&(&id.name, &id.version))
            .with_context(|| format!("Cargo.lock has no {id}"))?;
        let folder = one.manifest_path.parent().context("a manifest's folder")?;
        let package = Package {
            cargo_id: one.id.clone(),
            description: one.description,
            // Manifests of old have a slash where SPDX has OR.
            licence: licence.replace('/', " OR "),
            repository: one.repository,
            folder: folder.to_owned(),
            links: one.links,
            features: features.remove(&one.id).unwrap_or_default(),
            checksum: (*checksum).clone(),
            id: id.clone(),
        };
        packages.insert(id, package);
    }
    Ok(packages)
}

/// This machine, as cargo names it.
pub(crate) fn host() -> anyhow::Result<String> {
    rustc_says("host: ")
}

fn rustc_says(field: &str) -> anyhow::Result<String> {
    let text = rustc(&["-vV"])?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    Ok(line
        .with_context(|| format!("rustc -vV says no {field:?}"))?
        .to_owned())
}

/// In the repository, which names its toolchain.
fn rustc(arguments: &[&str]) -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    output(
        Command::new(rustc)
            .current_dir(repository())
            .args(arguments),
    )
}

/// The cargo that runs this, or the one that is found.
pub(crate) fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn cargo(repository: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    output(
        Command::new(cargo_program())
            .current_dir(repository)
            .args(arguments),
    )
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} does not start"))?;
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("what {command:?} prints"))
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Described>,
    resolve: Resolve,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Described {
    id: String,
    name: String,
    version: String,
    description: Option<String>,
    license: Option<String>,
    repository: Option<String>,
    manifest_path: PathBuf,
    links: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    features: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}
