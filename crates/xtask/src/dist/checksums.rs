//! SHA256SUMS, in the form of `sha256sum`: a line for each archive in the folder.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use openssl::sha::sha256;

/// The file's name.
pub(super) const FILE: &str = "SHA256SUMS";

/// Writes the line of `archive`; those of other archives that are still in the folder stay, so that one file speaks for all targets
/// of a release.
pub(super) fn add(folder: &Path, archive: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(FILE);
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let mut sums: BTreeMap<&str, String> = before
        .lines()
        .filter_map(|line| line.split_once("  "))
        .filter(|(_, name)| folder.join(name).is_file())
        .map(|(sum, name)| (name, sum.to_owned()))
        .collect();
    sums.insert(archive, sum(content));
    let lines: String = sums
        .iter()
        .map(|(name, sum)| format!("{sum}  {name}\n"))
        .collect();
    fs::write(&path, lines).with_context(|| path.display().to_string())
}

/// SHA-256 in hexadecimal.
pub(super) fn sum(content: &[u8]) -> String {
    sha256(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `abc`, from FIPS 180.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn one_file_speaks_for_all_archives_that_are_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        fs::write(path.join("b.tar.gz"), "abc").expect("a file");
        fs::write(path.join(FILE), "00  gone.tar.gz\n00  b.tar.gz\n").expect("a file");
        add(path, "b.tar.gz", b"abc").expect("written");
        fs::write(path.join("a.tar.gz"), "abc").expect("a file");
        add(path, "a.tar.gz", b"abc").expect("written");
        let text = fs::read_to_string(path.join(FILE)).expect("readable");
        assert_eq!(text, format!("{ABC}  a.tar.gz\n{ABC}  b.tar.gz\n"));
    }
}
