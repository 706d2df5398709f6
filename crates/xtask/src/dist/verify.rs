//! The archive, as somebody who downloads it finds it: the checksum, and each binary says its version and its help.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use flate2::read::GzDecoder;
use tar::Archive;

use super::VERSION;
use super::checksums;
use super::program::Runner;
use crate::chaos::say;
use crate::sbom::BINARIES;

/// Looks at the archive `name` in the folder `out`.
///
/// # Errors
///
/// What is not as it should be.
pub(super) fn verify(out: &Path, name: &str, target: &str) -> anyhow::Result<()> {
    let file = format!("{name}.tar.gz");
    let packed = fs::read(out.join(&file)).with_context(|| file.clone())?;
    let sums = fs::read_to_string(out.join(checksums::FILE)).context(checksums::FILE)?;
    let line = format!("{}  {file}", checksums::sum(&packed));
    ensure!(
        sums.lines().any(|one| one == line),
        "{} has no line \"{line}\"",
        checksums::FILE
    );

    let folder = tempfile::tempdir()?;
    Archive::new(GzDecoder::new(packed.as_slice()))
        .unpack(folder.path())
        .with_context(|| format!("unpacking {file}"))?;
    let runner = Runner::new(target)?;
    for binary in BINARIES {
        let program = folder.path().join(name).join("bin").join(binary);
        let version = runner.ask(&program, &["--version"])?;
        let wanted = format!("{binary} {VERSION}");
        ensure!(
            version.trim_end() == wanted,
            "bin/{binary} --version says {:?}, not {wanted:?}",
            version.trim_end()
        );
        let help = runner.ask(&program, &["--help"])?;
        ensure!(
            help.contains(&format!("Usage: {binary}")),
            "bin/{binary} --help shows no usage"
        );
    }
    say("dist: verified: the checksum, and --version and --help of each binary as unpacked");
    Ok(())
}
