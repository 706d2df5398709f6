//! Removing a program's private folder, whatever the program has left in it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, DirEntry, FileType, Mode, OFlags, RenameFlags, chmod, openat, renameat_with,
    statat, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;

/// Removes `root` with all that is in it, if it is there: folders that nobody may enter, and trees so deep that no process
/// can have all their levels open, or on its stack. What lies two levels down is moved to the first, until there is nothing
/// more. Names are looked up in folders that are held open, and links are not followed: should a process of the program be
/// left and change them meanwhile, they lead nowhere else.
pub(super) fn remove(root: &Path) -> io::Result<()> {
    let top = match open(CWD, root) {
        Err(Errno::NOENT) => return Ok(()),
        top => top?,
    };
    let mut moved = 0_u64;
    loop {
        let mut is_empty = true;
        for entry in Dir::read_from(&top)? {
            let entry = entry?;
            let Some((name, is_folder)) = look(&top, &entry)? else {
                continue;
            };
            is_empty = false;
            if !is_folder {
                unlinkat(&top, name, AtFlags::empty())?;
                continue;
            }
            let folder = open(&top, name)?;
            for below in Dir::read_from(&folder)? {
                let below = below?;
                match look(&folder, &below)? {
                    None => {}
                    Some((below, false)) => unlinkat(&folder, below, AtFlags::empty())?,
                    Some((below, true)) => {
                        // Only who may write to a folder may move it.
                        open(&folder, below)?;
                        moved = move_up((&folder, below), &top, moved)?;
                    }
                }
            }
            unlinkat(&top, name, AtFlags::REMOVEDIR)?;
        }
        if is_empty {
            return std::fs::remove_dir(root);
        }
    }
}

/// Its name and whether it is a folder; none for the folder itself and the one above.
fn look<'e>(folder: &OwnedFd, entry: &'e DirEntry) -> rustix::io::Result<Option<(&'e CStr, bool)>> {
    let name = entry.file_name();
    if matches!(name.to_bytes(), b"." | b"..") {
        return Ok(None);
    }
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    Ok(Some((name, is_folder)))
}

/// Opens a folder, and lets this user into it before.
fn open(at: impl AsFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = openat(at, name, flags | OFlags::PATH, Mode::empty())?;
    // By what is held: the name may mean something else by now.
    chmod(format!("/proc/self/fd/{}", held.as_raw_fd()), Mode::RWXU)?;
    openat(&held, c".", flags | OFlags::RDONLY, Mode::empty())
}

/// Moves a folder into `top` under a number that is free, and returns the number.
fn move_up((from, name): (&OwnedFd, &CStr), top: &OwnedFd, last: u64) -> rustix::io::Result<u64> {
    let mut number = last;
    loop {
        number += 1;
        let to = format!("moved-{number}");
        match renameat_with(from, name, top, to, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            moved => return moved.map(|()| number),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::remove;

    #[test]
    fn a_link_in_the_place_of_a_folder_is_removed_and_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "x").unwrap();
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("link");
        symlink(outside.path(), &link).unwrap();
        assert!(remove(&link).is_err(), "it is no folder");
        remove(root.path()).unwrap();
        assert!(outside.path().join("kept").exists());
    }

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
