//! The binaries of the other crates, which cargo does not build for this one's tests. Each is looked at once a run: what is
//! edited while tests run is the next run's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use mcp_testkit::{fetched, workspace_binary};

/// What every service is built from.
const BELOW: [&str; 3] = ["mcp-core", "mcp-runtime", "mcp-client"];

pub(crate) fn mcp_server() -> &'static Path {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    unwrap(FOUND.get_or_init(|| fresh("mcp-server", &["mcp-server", "mcp-sandbox"])))
}

pub(crate) fn kafka_worker() -> &'static Path {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    unwrap(FOUND.get_or_init(|| fresh("kafka-worker", &["kafka-worker"])))
}

fn unwrap(found: &'static Result<PathBuf, String>) -> &'static Path {
    match found {
        Ok(binary) => binary,
        Err(reason) => panic!("{reason}"),
    }
}

/// The binary `name`, if it is newer than the sources of `crates` and of those below them.
fn fresh(name: &str, crates: &[&str]) -> Result<PathBuf, String> {
    let binary = workspace_binary(name);
    let built = modified(&binary).expect("it exists");
    for name in crates.iter().chain(&BELOW) {
        let sources = fetched::repository().join("crates").join(name).join("src");
        if let Some(newer) = newer_than(built, &sources) {
            let (binary, newer) = (binary.display(), newer.display());
            return Err(format!(
                "{binary} is older than {newer}: run cargo build --workspace"
            ));
        }
    }
    Ok(binary)
}

fn newer_than(built: SystemTime, folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.find_map(|entry| {
        let path = entry.ok()?.path();
        if path.is_dir() {
            return newer_than(built, &path);
        }
        let is_newer = modified(&path).is_some_and(|time| time > built);
        (is_newer && path.extension().is_some_and(|end| end == "rs")).then_some(path)
    })
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}
