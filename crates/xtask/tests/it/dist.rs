use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mcp_testkit::{Process, fetched, workspace_binary};
use tempfile::TempDir;

use crate::with_cargo;

/// Far longer than it takes, also on a machine that is busy.
const LONG: Duration = Duration::from_secs(300);
const BINARIES: [&str; 3] = ["mcp-server", "kafka-worker", "mcp-hybrid"];

/// What `cargo xtask dist` has packed.
struct Packed {
    folder: TempDir,
    passed: bool,
    printed: String,
}

/// Packs small stand-ins that pass every question on to the binaries of this build, so that nothing is compressed that takes long.
/// `edit` may change them before.
async fn dist(edit: impl FnOnce(&Path)) -> Packed {
    let folder = tempfile::tempdir().expect("a folder");
    let binaries = folder.path().join("binaries");
    fs::create_dir(&binaries).expect("a folder");
    let built = workspace_binary("mcp-server");
    for name in BINARIES {
        assert!(workspace_binary(name).is_file());
        program(
            &binaries.join(name),
            &format!("exec \"$BUILT\"/{name} \"$@\""),
        );
    }
    edit(&binaries);
    let builder = Process::builder(env!("CARGO_BIN_EXE_xtask"))
        .named("xtask dist")
        .args(["dist", "--allow-dirty", "--binaries"])
        .arg(&binaries)
        .arg("--out")
        .arg(folder.path().join("out"))
        .env(
            "BUILT",
            built.parent().expect("a folder").display().to_string(),
        );
    let mut process = with_cargo(builder).start();
    let passed = process.wait_exit(LONG).await.success();
    let printed = process.output().join("\n");
    Packed {
        folder,
        passed,
        printed,
    }
}

fn program(path: &Path, line: &str) {
    fs::write(path, format!("#!/bin/sh\n{line}\n")).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

impl Packed {
    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn archive(&self) -> PathBuf {
        let archives: Vec<_> = fs::read_dir(self.out())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|end| end == "gz"))
            .collect();
        assert_eq!(archives.len(), 1, "{archives:?}");
        archives[0].clone()
    }

    /// Unpacks it as its user does; the folder inside.
    fn unpack(&self) -> PathBuf {
        let place = self.folder.path().join("unpacked");
        fs::create_dir(&place).expect("a folder");
        succeeds(
            Command::new("tar")
                .arg("-xzf")
                .arg(self.archive())
                .arg("-C")
                .arg(&place),
        );
        let name = self
            .archive()
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let folder = place.join(name.trim_end_matches(".tar.gz"));
        assert_eq!(fs::read_dir(&place).expect("a folder").count(), 1);
        folder
    }
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{command:?}: {errors}"
    );
    String::from_utf8(output.stdout).expect("text")
}

/// All files below, by their path from `folder`.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(place) = open.pop() {
        for entry in fs::read_dir(&place).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let path = path.strip_prefix(folder).expect("it lies in it");
                found.insert(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_release_is_complete_and_always_the_same() {
    let packed = dist(|_| ()).await;
    assert!(packed.passed, "{}", packed.printed);
    assert!(
        packed.printed.contains("dist: verified"),
        "{}",
        packed.printed
    );
    succeeds(
        Command::new("sha256sum")
            .args(["--check", "--strict", "--quiet", "SHA256SUMS"])
            .current_dir(packed.out()),
    );

    let folder = packed.unpack();
    let found = files(&folder);
    let mut wanted: Vec<String> = [
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "THIRD-PARTY-LICENSES.txt",
        "docs/operations.md",
    ]
    .map(str::to_owned)
    .to_vec();
    for name in BINARIES {
        wanted.extend([
            format!("bin/{name}"),
            format!("sbom/{name}.cdx.json"),
            format!("share/man/man1/{name}.1"),
            format!("share/bash-completion/completions/{name}"),
            format!("share/zsh/site-functions/_{name}"),
            format!("share/fish/vendor_completions.d/{name}.fish"),
        ]);
    }
    let missing: Vec<_> = wanted
        .iter()
        .filter(|path| !found.contains(*path))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {found:?}");
    let beside = |path: &&String| {
        !wanted.contains(path) && !path.starts_with("docs/") && !path.starts_with("share/man/man1/")
    };
    assert_eq!(
        found.iter().filter(beside).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );

    let again = dist(|_| ()).await;
    assert!(again.passed, "{}", again.printed);
    let bytes = |packed: &Packed| fs::read(packed.archive()).expect("an archive");
    assert!(
        bytes(&packed) == bytes(&again),
        "two archives of the same differ"
    );
    let name = |packed: &Packed| packed.archive().file_name().map(ToOwned::to_owned);
    assert_eq!(name(&packed), name(&again));

    completions_are_understood(&folder);
    man_pages_name_every_variable(&folder.join("share/man/man1"), &found);
}

fn completions_are_understood(folder: &Path) {
    let completions = folder.join("share/bash-completion/completions");
    for name in BINARIES {
        succeeds(Command::new("bash").arg("-n").arg(completions.join(name)));
    }
    // As bash does it when the key is pressed: what may come behind "kafka-worker dlq re".
    let offered = succeeds(Command::new("bash").arg("-c").arg(
        "source \"$0\"; COMP_WORDS=(kafka-worker dlq re); COMP_CWORD=2; F=$(complete -p kafka-worker); F=${F#*-F }; ${F%% *} kafka-worker re dlq; echo \"${COMPREPLY[*]}\"",
    ).arg(completions.join("kafka-worker")));
    assert_eq!(offered.trim(), "redrive");
    for name in BINARIES {
        let zsh = fs::read_to_string(
            folder
                .join("share/zsh/site-functions")
                .join(format!("_{name}")),
        );
        assert!(
            zsh.expect("text")
                .starts_with(&format!("#compdef {name}\n"))
        );
        let fish = folder
            .join("share/fish/vendor_completions.d")
            .join(format!("{name}.fish"));
        assert!(
            fs::read_to_string(fish)
                .expect("text")
                .contains(&format!("complete -c {name} "))
        );
    }
}

/// The documented variables stand in the page's ENVIRONMENT, and each command of its own has a page.
fn man_pages_name_every_variable(pages: &Path, found: &BTreeSet<String>) {
    // The page that is made from the code where there is one, else README.md.
    let repository = fetched::repository();
    let (text, headings) = match fs::read_to_string(repository.join("docs/configuration.md")) {
        Ok(text) => (text, ["## kafka-worker\n", "## mcp-server\n"]),
        Err(_) => (
            fs::read_to_string(repository.join("README.md")).expect("text"),
            [
                "## Configuration of the worker",
                "## Configuration of the server",
            ],
        ),
    };
    for (name, heading) in ["kafka-worker", "mcp-server"].into_iter().zip(headings) {
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).expect("text");
        let section = page.split(".SH ENVIRONMENT\n").nth(1).expect("a section");
        let section = section.split("\n.SH ").next().unwrap_or_default();
        let variables = variables(&text, heading);
        assert!(variables.len() > 20, "{variables:?}");
        for variable in variables {
            let short = variable
                .strip_suffix("_FILE")
                .map(|name| format!("{name}[_FILE]"));
            let named =
                section.contains(&variable) || short.is_some_and(|short| section.contains(&short));
            assert!(named, "{name}.1 says nothing of {variable}:\n{section}");
        }
    }
    for page in [
        "kafka-worker-dlq-redrive.1",
        "mcp-server-keys-new.1",
        "mcp-hybrid-job-submit.1",
    ] {
        assert!(found.contains(&format!("share/man/man1/{page}")), "{page}");
    }
    for hidden in ["mcp-hybrid-demo-server.1", "kafka-worker-man.1"] {
        assert!(
            !found.contains(&format!("share/man/man1/{hidden}")),
            "{hidden}"
        );
    }
}

/// The names in the first column of the table under `heading`.
fn variables(text: &str, heading: &str) -> Vec<String> {
    let section = text.split(heading).nth(1).expect("a section");
    let section = section.split("\n#").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let column = row.split(" | ").next().unwrap_or_default();
        column.split('`').skip(1).step_by(2).map(str::to_owned)
    })
    .collect()
}

#[tokio::test]
async fn a_binary_of_another_version_is_not_passed_off_as_this_one() {
    let packed = dist(|binaries| {
        let old = "case \"$1\" in --version) echo kafka-worker 0.0.9 ;; *) exec \"$BUILT\"/kafka-worker \"$@\" ;; esac";
        program(&binaries.join("kafka-worker"), old);
    })
    .await;
    assert!(!packed.passed, "{}", packed.printed);
    assert!(
        packed
            .printed
            .contains("bin/kafka-worker --version says \"kafka-worker 0.0.9\""),
        "{}",
        packed.printed
    );
}

#[tokio::test]
async fn a_binary_that_does_not_run_stops_the_release() {
    let packed =
        dist(|binaries| program(&binaries.join("mcp-server"), "echo broken >&2; exit 3")).await;
    assert!(!packed.passed, "{}", packed.printed);
    assert!(packed.printed.contains("broken"), "{}", packed.printed);
    assert!(!packed.out().exists(), "an archive was written");
}

#[tokio::test]
async fn the_help_teaches() {
    for task in ["dist", "sbom"] {
        let mut process = Process::builder(env!("CARGO_BIN_EXE_xtask"))
            .named("xtask")
            .args([task, "--help"])
            .start();
        let status = process.wait_exit(LONG).await;
        let printed = process.output().join("\n");
        assert!(
            status.success() && printed.contains("Examples:"),
            "{printed}"
        );
    }
}
