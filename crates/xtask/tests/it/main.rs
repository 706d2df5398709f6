//! A short run of the chaos harness, and the packing of a release, as everybody starts them; and what `deploy/` says of the
//! programs.

mod chaos;
mod dist;
mod observability;

use mcp_testkit::ProcessBuilder;

/// With what cargo needs to run: a process that these tests start has no other variables.
fn with_cargo(builder: ProcessBuilder) -> ProcessBuilder {
    let names = [
        "HOME",
        "CARGO",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
    ];
    let known = names
        .iter()
        .filter_map(|name| Some((*name, std::env::var(name).ok()?)));
    builder.envs(known)
}
