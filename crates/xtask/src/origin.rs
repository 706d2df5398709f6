//! What is built: the commit, and whether the files are those of the commit.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

/// The commit that is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Its full hash.
    pub(crate) commit: String,
    /// When it was made: seconds since 1970.
    pub(crate) seconds: u64,
    /// The same, as `2027-01-31T00:00:00Z`.
    pub(crate) time: String,
    /// The files that are not as in the commit, as `git status` names them; at most ten.
    pub(crate) changed: Vec<String>,
}

impl Origin {
    /// Asks git.
    ///
    /// # Errors
    ///
    /// There is no git, or `repository` is no clone of one.
    pub(crate) fn read(repository: &Path) -> anyhow::Result<Self> {
        let shown = git(
            repository,
            &[
                "show",
                "--no-patch",
                "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
                "--format=%H %ct %cd",
                "HEAD",
            ],
        )?;
        let parts: Vec<_> = shown.split_whitespace().collect();
        let [commit, seconds, time] = parts[..] else {
            bail!("git shows HEAD as {shown:?}");
        };
        let status = git(repository, &["status", "--porcelain"])?;
        Ok(Self {
            commit: commit.to_owned(),
            seconds: seconds.parse().context("the commit's date")?,
            time: time.to_owned(),
            changed: status.lines().take(10).map(str::to_owned).collect(),
        })
    }
}

fn git(repository: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .current_dir(repository)
        .env("TZ", "UTC")
        .args(arguments)
        .output()
        .context("git does not start")?;
    ensure!(
        output.status.success(),
        "git {} failed: {}",
        arguments[0],
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_commit_and_what_differs_from_it_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = |arguments: &[&str]| git(folder.path(), arguments).expect("git");
        run(&["init", "--quiet"]);
        fs::write(folder.path().join("file"), "first").expect("a file");
        run(&["add", "file"]);
        let commit = [
            "-c",
            "user.name=Somebody",
            "-c",
            "user.email=somebody@example.com",
            "commit",
            "--quiet",
            "--no-gpg-sign",
            "--message=First",
            "--date=2027-01-15T08:00:00Z",
        ];
        run(&commit);
        let origin = Origin::read(folder.path()).expect("a commit");
        assert_eq!(origin.commit, run(&["rev-parse", "HEAD"]));
        assert_eq!(origin.changed, Vec::<String>::new());
        assert!(
            origin.time.ends_with('Z') && origin.seconds > 1_700_000_000,
            "{origin:?}"
        );

        fs::write(folder.path().join("file"), "second").expect("a file");
        fs::write(folder.path().join("other"), "new").expect("a file");
        let changed = Origin::read(folder.path()).expect("a commit").changed;
        assert_eq!(changed, [" M file", "?? other"]);
    }

    #[test]
    fn what_is_no_clone_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Origin::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not a git repository"), "{error}");
    }
}
