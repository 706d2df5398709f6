//! Environment files: found without leaving the operator's directory, read in the dotenv syntax.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use mcp_core::{ErrorCode, Failure, Secret};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::policy::variables::{self, VARIABLES_MAX};

mod dotenv;

/// Largest file, in bytes.
const SIZE_MAX: u64 = 64 * 1024;
/// Longest path, in bytes.
const PATH_MAX: usize = 512;

fn denied(what: impl AsRef<str>) -> Failure {
    Failure::new(ErrorCode::LaunchDenied, what)
}

/// The variables of `file`, a path below `directory`.
///
/// # Errors
/// [`ErrorCode::LaunchDenied`], naming the file and what is wrong with it, never a value.
pub(crate) fn read(directory: &Path, file: &str) -> Result<Vec<(String, Secret)>, Failure> {
    let shown = mcp_core::text::bounded(file, 100);
    let text = load(directory, file)?;
    let pairs = dotenv::parse(&text)
        .map_err(|error| denied(format!("environment file {shown:?}, {error}")))?;
    if pairs.len() > VARIABLES_MAX {
        return Err(denied(format!(
            "environment file {shown:?} sets {} variables, {VARIABLES_MAX} are allowed",
            pairs.len()
        )));
    }
    let origin = format!("environment file {shown:?}");
    for (name, value) in &pairs {
        variables::check(name, value.expose(), &origin)?;
    }
    Ok(pairs)
}

fn load(directory: &Path, file: &str) -> Result<String, Failure> {
    let shown = mcp_core::text::bounded(file, 100);
    if file.is_empty() || file.len() > PATH_MAX || file.contains('\0') {
        return Err(denied(format!(
            "`envFile` is empty, longer than {PATH_MAX} bytes, or has a zero byte"
        )));
    }
    let mut names = Vec::new();
    for component in Path::new(file).components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(denied(format!(
                    "`envFile` {shown:?} leaves the operator's directory: it must be a relative path without `..`"
                )));
            }
        }
    }
    let Some((name, folders)) = names.split_last() else {
        return Err(denied(format!("`envFile` {shown:?} names no file")));
    };
    let why = |error: Errno| {
        denied(match error {
            Errno::NOENT => {
                format!("`envFile` {shown:?} does not exist in the operator's directory")
            }
            Errno::LOOP | Errno::NOTDIR => {
                format!(
                    "`envFile` {shown:?} goes through a symbolic link or a file: only plain directories are followed"
                )
            }
            other => format!("`envFile` {shown:?} can't be opened: {other}"),
        })
    };
    // One component at a time and never through a link: no exchange of a directory while this runs leads elsewhere.
    let folder = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at: OwnedFd = openat(CWD, directory, folder, Mode::empty()).map_err(|error| {
        denied(format!(
            "the operator's directory of environment files can't be opened: {error}"
        ))
    })?;
    for name in folders {
        at = openat(&at, *name, folder | OFlags::NOFOLLOW, Mode::empty()).map_err(why)?;
    }
    // NONBLOCK: opening a named pipe must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = openat(&at, *name, flags, Mode::empty()).map_err(why)?;
    let stat = fstat(&opened).map_err(why)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(denied(format!("`envFile` {shown:?} is no regular file")));
    }
    let mut text = String::new();
    std::fs::File::from(opened)
        .take(SIZE_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| {
            denied(format!(
                "`envFile` {shown:?} can't be read: {}",
                error.kind()
            ))
        })?;
    if text.len() as u64 > SIZE_MAX {
        return Err(denied(format!(
            "`envFile` {shown:?} is larger than {SIZE_MAX} bytes"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::read;
    use std::os::unix::fs::symlink;

    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("path/to")).unwrap();
        std::fs::write(directory.path().join("path/to/.env"), "TOKEN=hunter2\n").unwrap();
        directory
    }

    fn refusal(directory: &tempfile::TempDir, file: &str) -> String {
        read(directory.path(), file).unwrap_err().message
    }

    #[test]
    fn the_path_of_the_example_message_is_read() {
        let pairs = read(directory().path(), "path/to/.env").unwrap();
        assert_eq!(pairs.len(), 1);
        assert_eq!(
            (pairs[0].0.as_str(), pairs[0].1.expose()),
            ("TOKEN", "hunter2")
        );
    }

    #[test]
    fn nothing_outside_the_directory_is_reached() {
        let outside = directory();
        let inside = directory();
        symlink(
            outside.path().join("path"),
            inside.path().join("folder-link"),
        )
        .unwrap();
        symlink(
            outside.path().join("path/to/.env"),
            inside.path().join("file-link"),
        )
        .unwrap();
        for file in ["../x", "path/../../x", "/etc/passwd"] {
            assert!(
                refusal(&inside, file).contains("leaves the operator's directory"),
                "{file}"
            );
        }
        for file in ["folder-link/to/.env", "file-link", "path/to/.env/x"] {
            assert!(refusal(&inside, file).contains("symbolic link"), "{file}");
        }
        assert!(refusal(&inside, "none.env").contains("does not exist"));
        assert!(refusal(&inside, "path/to").contains("no regular file"));
    }

    #[test]
    fn a_bad_file_is_described_without_its_values() {
        let directory = directory();
        let refused = |text: &str| {
            std::fs::write(directory.path().join("bad"), text).unwrap();
            let message = refusal(&directory, "bad");
            assert!(!message.contains("hunter2"), "{message}");
            message
        };
        assert!(refused("LD_PRELOAD=hunter2").contains("`LD_PRELOAD`"));
        assert!(refused("\n\nhunter2").contains("line 3"));
        assert!(refused(&"#".repeat(70_000)).contains("larger than"));
    }
}
