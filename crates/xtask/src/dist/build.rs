//! The binaries: built so that nothing of this machine is in them, and looked at.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::chaos::say;
use crate::origin::Origin;
use crate::sbom::{self, BINARIES, Inventory, cargo_program};

/// The profile in the root Cargo.toml.
const PROFILE: &str = "dist";

/// Builds the binaries; the folder that they lie in.
///
/// # Errors
///
/// They do not build, or are not what goes into a release.
pub(super) fn build(inventory: &Inventory, origin: &Origin) -> anyhow::Result<PathBuf> {
    let renamed = renamed(inventory)?;
    say("dist: building; without anything built before this takes about ten minutes");
    let mut build = Command::new(cargo_program());
    build
        .current_dir(&inventory.repository)
        .args(["build", "--locked", "--profile", PROFILE])
        .args(["--target", &inventory.target])
        .args(["--message-format", "json-render-diagnostics"])
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(&renamed))
        // Where C code asks for the time of the compilation.
        .env("SOURCE_DATE_EPOCH", origin.seconds.to_string())
        .stdout(Stdio::piped());
    for variable in ["CFLAGS", "CXXFLAGS"] {
        let given = std::env::var(variable).unwrap_or_default();
        build.env(variable, format!("{given} {}", c_flags(&renamed)).trim());
    }
    for binary in BINARIES {
        build.args(["--package", binary]);
    }
    let output = build
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .context("cargo does not start")?;
    ensure!(output.status.success(), "the binaries do not build");

    says_what_was_compiled(inventory, &String::from_utf8(output.stdout)?)?;
    let folder = inventory
        .target_folder
        .join(&inventory.target)
        .join(PROFILE);
    for binary in BINARIES {
        look_into(inventory, &folder, binary)?;
    }
    Ok(folder)
}

/// Folders of this machine, and what they are called in the binaries. The last that fits is taken, by rustc and by C compilers.
fn renamed(inventory: &Inventory) -> anyhow::Result<Vec<(PathBuf, &'static str)>> {
    let cargo_home = match std::env::var_os("CARGO_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cargo"),
    };
    let folders = [
        (inventory.sysroot.clone(), "/rust"),
        (cargo_home, "/cargo"),
        (inventory.repository.clone(), "/mcp-hybrid"),
        (inventory.target_folder.clone(), "/mcp-hybrid/target"),
    ];
    let mut renamed = Vec::new();
    for (folder, name) in folders {
        // What is reached over a link has two names, and a compiler may say either.
        let real = folder.canonicalize().ok().filter(|real| *real != folder);
        renamed.push((folder, name));
        renamed.extend(real.map(|real| (real, name)));
    }
    Ok(renamed)
}

/// Separated as cargo wants it, so that blanks in paths do no harm.
fn rust_flags(renamed: &[(PathBuf, &str)]) -> String {
    let flags: Vec<_> = renamed
        .iter()
        .map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()))
        .collect();
    flags.join("\x1f")
}

fn c_flags(renamed: &[(PathBuf, &str)]) -> String {
    let flags: Vec<_> = renamed
        .iter()
        .map(|(folder, name)| format!("-ffile-prefix-map={}={name}", folder.display()))
        .collect();
    flags.join(" ")
}

/// A message of cargo; of most of them only the reason is of interest.
#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
}

/// The bills of material must name what cargo compiled, and nothing else.
fn says_what_was_compiled(inventory: &Inventory, messages: &str) -> anyhow::Result<()> {
    let mut compiled = BTreeSet::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: Message = serde_json::from_str(line).context("a message of cargo")?;
        if message.reason == "compiler-artifact" {
            compiled.extend(message.package_id);
        }
    }
    let named: BTreeSet<String> = inventory
        .packages()
        .map(|package| package.cargo_id.clone())
        .collect();
    let differ: Vec<_> = compiled.symmetric_difference(&named).collect();
    ensure!(
        differ.is_empty(),
        "the bills of material and what cargo compiled differ in {differ:?}"
    );
    say(&format!(
        "dist: {} packages compiled, all of them in the bills of material",
        named.len()
    ));
    Ok(())
}

/// A binary may hold no path of this machine, and must link what its bill of materials leaves to the system.
fn look_into(inventory: &Inventory, folder: &Path, binary: &str) -> anyhow::Result<()> {
    let path = folder.join(binary);
    let content = fs::read(&path).with_context(|| path.display().to_string())?;
    for (place, _) in renamed(inventory)? {
        let place = place.to_str().context("a path that is no text")?;
        if let Some(found) = around(&content, place) {
            anyhow::bail!("{binary} holds a path of this machine: {found:?}");
        }
    }
    let output = Command::new("readelf")
        .args(["--wide", "--dynamic", "--version-info"])
        .arg(&path)
        .output()
        .context("readelf (of binutils) does not start")?;
    let listing = String::from_utf8_lossy(&output.stdout);
    let linked = shared_libraries(&listing);
    for (package, library) in sbom::linked(inventory, binary) {
        ensure!(
            linked.iter().any(|one| one.starts_with(library)),
            "{binary} does not link the system's {library}, so {package} has compiled its own, which no bill of materials names: \
             install the library's headers (scripts/setup build), and remove {}",
            inventory
                .target_folder
                .join(&inventory.target)
                .join(PROFILE)
                .display()
        );
    }
    say(&format!(
        "dist: {binary}: {:.1} MiB, needs glibc {} and {}",
        content.len() as f64 / f64::from(1 << 20),
        newest_glibc(&listing).unwrap_or("of any version"),
        linked.join(", ")
    ));
    Ok(())
}

/// The text around the first place where `wanted` stands.
fn around(content: &[u8], wanted: &str) -> Option<String> {
    let wanted = wanted.as_bytes();
    let at = content
        .windows(wanted.len())
        .position(|window| window == wanted)?;
    let end = content.len().min(at + wanted.len() + 80);
    let text = content[at..end]
        .split(|byte| !(b' '..=b'~').contains(byte))
        .next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// `(NEEDED)  Shared library: [libssl.so.3]`
fn shared_libraries(listing: &str) -> Vec<&str> {
    let needed = listing.lines().filter(|line| line.contains("(NEEDED)"));
    needed
        .filter_map(|line| line.split_once('[')?.1.split(']').next())
        .collect()
}

/// `Name: GLIBC_2.34`, the greatest of them.
fn newest_glibc(listing: &str) -> Option<&str> {
    let versions = listing
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("GLIBC_"))
        .filter(|version| version.starts_with(|c: char| c.is_ascii_digit()));
    versions.max_by_key(|version| {
        let numbers = version.split('.').map(|part| part.parse().unwrap_or(0_u32));
        numbers.collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = " 0x0001 (NEEDED)             Shared library: [libssl.so.3]
 0x0001 (NEEDED)             Shared library: [libc.so.6]
 0x000e (SONAME)             Library soname: [other.so]
  0x0040:   Name: GLIBC_2.9  Flags: none  Version: 3
  0x0050:   Name: GLIBC_2.34  Flags: none  Version: 2
  0x0050:   Name: GLIBC_PRIVATE  Flags: none  Version: 2
  0x0060:   Name: OPENSSL_3.0.0  Flags: none  Version: 5";

    #[test]
    fn what_a_binary_needs_is_read_from_its_listing() {
        assert_eq!(shared_libraries(LISTING), ["libssl.so.3", "libc.so.6"]);
        assert_eq!(newest_glibc(LISTING), Some("2.34"));
        assert_eq!(newest_glibc("no versions"), None);
    }

    #[test]
    fn a_path_of_this_machine_is_found_and_shown() {
        let binary = b"\x7fELF\0\0/home/me/src/lib.rs\0/cargo/registry\0";
        assert_eq!(
            around(binary, "/home/me").as_deref(),
            Some("/home/me/src/lib.rs")
        );
        assert_eq!(around(binary, "/home/you"), None);
        assert_eq!(around(b"short", "/a/longer/path"), None);
    }

    #[test]
    fn folders_with_blanks_stay_one_flag_for_rustc() {
        let renamed = [
            (PathBuf::from("/my files"), "/a"),
            (PathBuf::from("/b"), "/b"),
        ];
        assert_eq!(
            rust_flags(&renamed),
            "--remap-path-prefix=/my files=/a\x1f--remap-path-prefix=/b=/b"
        );
        assert_eq!(c_flags(&renamed[1..]), "-ffile-prefix-map=/b=/b");
    }
}
