//! Versions of what is measured.

use std::fs;

use bench_kit::machine::{output, unknown};
use mcp_testkit::fetched::repository;
use rdkafka::util::get_rdkafka_version;

/// All of them, in a line.
pub(crate) fn versions() -> String {
    let (_, librdkafka) = get_rdkafka_version();
    let java = output("java", &["-version"]);
    let java = java.lines().next().unwrap_or("unknown").to_owned();
    format!(
        "kafka-worker {}, librdkafka {librdkafka}, Apache Kafka {}, Parallel Consumer {}, {java}",
        env!("CARGO_PKG_VERSION"),
        jar_version("kafka", "kafka-clients-"),
        jar_version("parallel-consumer", "parallel-consumer-core-"),
    )
}

/// The version in the name of a fetched jar.
fn jar_version(folder: &str, prefix: &str) -> String {
    let folder = repository().join(".cache").join(folder);
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut versions = names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let version = name.strip_prefix(prefix)?.strip_suffix(".jar")?;
        Some(version.to_owned())
    });
    versions.next().unwrap_or_else(unknown)
}
