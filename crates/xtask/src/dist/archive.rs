//! A tar archive in gzip that depends on nothing but what goes in.

use std::io::Write as _;

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// From the archive's folder, with `/` between its parts.
    pub(super) path: String,
    /// Whether it is a program.
    pub(super) program: bool,
    /// What is in it.
    pub(super) content: Vec<u8>,
}

impl Entry {
    /// A file that is read.
    pub(super) fn text(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            program: false,
            content: content.into(),
        }
    }
}

/// Packs the entries into one folder, sorted by path, all of the time `seconds` after 1970, and root's.
pub(super) fn pack(folder: &str, entries: &[Entry], seconds: u64) -> anyhow::Result<Vec<u8>> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    // Neither a time nor the name of an operating system in the header of gzip.
    let gzip = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    let mut tar = Builder::new(gzip);
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(if entry.program { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(seconds);
        header.set_size(entry.content.len() as u64);
        let path = format!("{folder}/{}", entry.path);
        tar.append_data(&mut header, &path, entry.content.as_slice())
            .with_context(|| path.clone())?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    Ok(gzip.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn entries() -> Vec<Entry> {
        vec![
            Entry {
                path: "bin/program".to_owned(),
                program: true,
                content: b"#!/bin/sh".to_vec(),
            },
            Entry::text("README.md", "read"),
            Entry::text(format!("doc/{}", "long/".repeat(40)), "far down"),
        ]
    }

    #[test]
    fn the_order_in_which_files_come_makes_no_difference() {
        let packed = pack("a-1.0", &entries(), 1_000_000_000).expect("packed");
        let mut reversed = entries();
        reversed.reverse();
        assert!(pack("a-1.0", &reversed, 1_000_000_000).expect("packed") == packed);
        assert!(pack("a-1.0", &reversed, 1_000_000_001).expect("packed") != packed);
    }

    #[test]
    fn what_was_packed_comes_out_with_its_mode_and_its_time() {
        let packed = pack("a-1.0", &entries(), 1_000_000_000).expect("packed");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let mut seen = Vec::new();
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let header = entry.header();
            assert_eq!(header.mtime().expect("a time"), 1_000_000_000);
            assert_eq!(
                (
                    header.uid().expect("a user"),
                    header.username().expect("text")
                ),
                (0, Some(""))
            );
            let mode = header.mode().expect("a mode");
            let path = entry.path().expect("a path").display().to_string();
            let mut content = String::new();
            entry.read_to_string(&mut content).expect("text");
            seen.push((path, mode, content));
        }
        assert_eq!(
            seen[0],
            ("a-1.0/README.md".to_owned(), 0o644, "read".to_owned())
        );
        assert_eq!(
            seen[1],
            (
                "a-1.0/bin/program".to_owned(),
                0o755,
                "#!/bin/sh".to_owned()
            )
        );
        assert_eq!(seen[2].2, "far down");
    }
}
