//! Removing a program's private folder, whatever the program has left in it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Removes `root` with all that is in it, if it is there: folders that nobody may enter, and trees so deep that no process
/// can have all their levels open, or on its stack. What lies two levels down is moved to the first, until there is nothing
/// more. To be called when none of the program's processes is left: a folder that changes meanwhile may lead elsewhere.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    if fs::symlink_metadata(root).is_err() {
        return Ok(());
    }
    open_up(root)?;
    let mut moved = 0_u64;
    loop {
        let mut is_empty = true;
        for entry in fs::read_dir(root)? {
            is_empty = false;
            let path = entry?.path();
            if !is_folder(&path)? {
                fs::remove_file(&path)?;
                continue;
            }
            open_up(&path)?;
            for below in fs::read_dir(&path)? {
                let below = below?.path();
                if is_folder(&below)? {
                    open_up(&below)?;
                    moved = rename_into(root, &below, moved)?;
                } else {
                    fs::remove_file(&below)?;
                }
            }
            fs::remove_dir(&path)?;
        }
        if is_empty {
            return fs::remove_dir(root);
        }
    }
}

fn is_folder(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.is_dir())
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Moves `folder` below `root` under a number that is free, and returns the number.
fn rename_into(root: &Path, folder: &Path, last: u64) -> io::Result<u64> {
    let mut number = last;
    loop {
        number += 1;
        let to = root.join(format!("moved-{number}"));
        if fs::symlink_metadata(&to).is_err() {
            fs::rename(folder, to)?;
            return Ok(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::remove;

    #[test]
    fn whatever_is_in_it_goes_and_nothing_else() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "x").unwrap();
        let root = tempfile::tempdir().unwrap().keep();
        let mut at = root.clone();
        for name in ["a", "moved-1", "b", "c"] {
            at.push(name);
            fs::create_dir(&at).unwrap();
            fs::write(at.join("file"), "x").unwrap();
            symlink(outside.path(), at.join("link")).unwrap();
        }
        for closed in ["a/moved-1", ""] {
            fs::set_permissions(root.join(closed), fs::Permissions::from_mode(0o000)).unwrap();
        }
        remove(&root).unwrap();
        assert!(!root.exists());
        remove(&root).unwrap();
        assert!(outside.path().join("kept").exists());
    }
}
