//! Paths of what `scripts/setup test` fetches into `.cache`, and the repository's own.

use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies in crates/")
        .to_owned()
}

/// The folder with the jars of Apache Kafka.
pub fn kafka_jars() -> PathBuf {
    in_cache("kafka")
}

/// Node 22.
pub fn node22() -> PathBuf {
    in_cache("node/node22")
}

/// The script of the official MCP conformance suite, for [`node22`].
pub fn conformance_cli() -> PathBuf {
    in_cache("node/node_modules/@modelcontextprotocol/conformance/dist/index.js")
}

/// The script of npm's `@modelcontextprotocol/server-everything`, for [`node22`]; its argument `stdio` is the default.
pub fn everything_server_js() -> PathBuf {
    in_cache("node/node_modules/@modelcontextprotocol/server-everything/dist/index.js")
}

/// The folder with the packages for [`node22`]: the value of `NODE_PATH`, for scripts that `require` the TypeScript SDK.
pub fn node_modules() -> PathBuf {
    in_cache("node/node_modules")
}

/// The script of the MCP inspector, for [`node22`]; its argument `--cli` makes it a command-line client.
pub fn inspector() -> PathBuf {
    in_cache("node/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js")
}

/// A Python with the package `mcp`.
pub fn python() -> PathBuf {
    in_cache("python/bin/python")
}

/// A Python with CycloneDX's library, which has the official schemas of a bill of materials.
pub fn tools_python() -> PathBuf {
    in_cache("tools/bin/python")
}

/// A Redis server's program: the fetched one, or the system's where there is none to fetch.
pub fn redis_server() -> PathBuf {
    if cfg!(target_arch = "x86_64") {
        return in_cache("redis/redis-server");
    }
    PathBuf::from("redis-server")
}

/// Prometheus' own tool, which checks rules and configuration, and tests rules.
pub fn promtool() -> PathBuf {
    in_cache("prometheus/promtool")
}

/// The folder with the programs of the newest Postgres of this system.
pub fn postgres_programs() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let versions = folders.filter_map(|folder| {
        let programs = folder.ok()?.path().join("bin");
        let version: u32 = programs.parent()?.file_name()?.to_str()?.parse().ok()?;
        programs
            .join("initdb")
            .exists()
            .then_some((version, programs))
    });
    if let Some((_, programs)) = versions.max() {
        return programs;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    found.expect(
        "there is no Postgres server: run scripts/setup test, which installs it where the system has it as a package",
    )
}

fn in_cache(path: &str) -> PathBuf {
    let path = repository().join(".cache").join(path);
    assert!(
        path.exists(),
        "{} is missing: run scripts/test once, or scripts/setup test: it fetches what tests use",
        path.display()
    );
    path
}
