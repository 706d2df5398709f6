//! Command lines and files of a broker.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{PATIENCE, Ports, SaslSsl};
use crate::{Process, eventually, fetched};

/// Shared with `scripts/kafka`.
const PROPERTIES: &str = include_str!("../../../../scripts/broker/server.properties");
/// Fixed: a random one may begin with `-`, which the format tool takes for an option.
const CLUSTER_ID: &str = "mcp-testkit-cluster-id";
/// A broker of this size starts sooner without the optimising compiler.
const JVM: [&str; 4] = [
    "-Xms96m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
];

/// Why a broker did not start.
pub(super) enum Failure {
    PortTaken,
    Other(String),
}

/// Writes the properties, and prepares the data folder.
pub(super) fn format(
    data: &Path,
    ports: Ports,
    sasl_ssl: Option<&SaslSsl>,
    extra: &[(String, String)],
) {
    let mut text = PROPERTIES.to_owned();
    let mut listeners = format!(
        "PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}",
        ports.plain, ports.controller
    );
    if let Some(sasl_ssl) = sasl_ssl {
        write!(listeners, ",SASL_SSL://127.0.0.1:{}", ports.sasl_ssl).expect("writing to a String");
        text.push_str(&sasl_ssl.properties());
    }
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name}={value}").expect("writing to a String");
    };
    line("listeners", &listeners);
    line(
        "controller.quorum.voters",
        &format!("1@127.0.0.1:{}", ports.controller),
    );
    line("log.dirs", &data.join("log").display().to_string());
    for (name, value) in extra {
        line(name, value);
    }
    let properties = properties(data);
    fs::write(&properties, text).expect("the data folder is writable");

    let mut command = Command::new("java");
    command
        .args(arguments())
        .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(&properties)
        .stdin(Stdio::null());
    if let Some(sasl_ssl) = sasl_ssl {
        command.args(sasl_ssl.format_arguments());
    }
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("java does not start: {error}; see scripts/setup --help"));
    assert!(
        output.status.success(),
        "formatting Kafka's storage failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Starts the broker whose files lie in `data`, and waits until it says that it is ready. (Its port answering would prove
/// nothing: it may be another's.)
pub(super) async fn start(data: &Path) -> Result<Process, Failure> {
    let mut process = Process::builder("java")
        .named("Kafka")
        .args(arguments())
        .arg("kafka.Kafka")
        .arg(properties(data))
        .current_dir(data)
        .owning(data)
        .start();
    let ready = eventually(PATIENCE, async || {
        if process.printed("Kafka Server started") {
            Ok(true)
        } else if process.exited().is_some() {
            Ok(false)
        } else {
            Err(process.describe("it does not get ready"))
        }
    })
    .await;
    if ready {
        Ok(process)
    } else if process.printed("Address already in use") {
        Err(Failure::PortTaken)
    } else {
        Err(Failure::Other(process.describe("it ended at its start")))
    }
}

fn properties(data: &Path) -> PathBuf {
    data.join("server.properties")
}

fn arguments() -> Vec<String> {
    let logging = fetched::repository().join("scripts/broker/log4j2.properties");
    let jars = fetched::kafka_jars().join("*");
    let mut arguments: Vec<String> = JVM.map(str::to_owned).into();
    arguments.push(format!("-Dlog4j2.configurationFile={}", logging.display()));
    arguments.extend(["-cp".to_owned(), jars.display().to_string()]);
    arguments
}
