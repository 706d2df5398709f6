//! The five jobs of the demonstration, and how each must end.

use std::path::Path;

use serde_json::{Value, json};

/// A record to produce, with the outcome that makes the demonstration a success.
pub(super) struct DemoJob {
    /// The record's key; also the job's id where it is an envelope.
    pub(super) id: &'static str,
    /// What it shows, in a few words.
    pub(super) shows: &'static str,
    /// The record's value.
    pub(super) value: String,
    /// How it must end.
    pub(super) expected: Expected,
}

/// The end of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Success, after that many attempts.
    Success { attempts: u32 },
    /// A dead letter with that code and class.
    DeadLetter {
        code: &'static str,
        class: &'static str,
    },
}

/// The command name that the demonstration's launch policy allows.
pub(super) const DEMO_COMMAND: &str = "demo-server";

/// The jobs; starts are counted in files below `scratch`.
pub(super) fn jobs(scratch: &Path) -> Vec<DemoJob> {
    let success = |attempts| Expected::Success { attempts };
    let permanent = |code| Expected::DeadLetter {
        code,
        class: "permanent",
    };
    vec![
        DemoJob {
            id: "one-server",
            shows: "starts an MCP server and reports its tools",
            value: server_init("one-server", json!({"calculator": demo("calculator", &[])})),
            expected: success(1),
        },
        DemoJob {
            id: "three-servers",
            shows: "one job, three servers",
            value: server_init(
                "three-servers",
                json!({
                    "calculator": demo("calculator", &[]),
                    "notes": demo("notes", &[]),
                    "weather": demo("weather", &[]),
                }),
            ),
            expected: success(1),
        },
        DemoJob {
            id: "poison",
            shows: "is no JSON",
            value: "this is no JSON".into(),
            expected: permanent("invalid-record"),
        },
        DemoJob {
            id: "not-allowed",
            shows: "asks for a command that the policy does not allow",
            value: server_init(
                "not-allowed",
                json!({"shell": {"command": "sh", "args": ["-c", "echo owned"]}}),
            ),
            expected: permanent("launch-denied"),
        },
        DemoJob {
            id: "flaky",
            shows: "fails twice, then succeeds",
            value: server_init(
                "flaky",
                json!({"flaky": demo("flaky", &[
                    "--fail-first", "2", "--attempts-file", &scratch.join("flaky").to_string_lossy(),
                ])}),
            ),
            expected: success(3),
        },
    ]
}

fn demo(name: &str, more: &[&str]) -> Value {
    let mut args = vec!["demo-server", "--name", name];
    args.extend_from_slice(more);
    json!({"command": DEMO_COMMAND, "args": args})
}

fn server_init(id: &str, servers: Value) -> String {
    let payload = json!({"mcpServers": servers}).to_string();
    json!({"jobID": id, "jobType": "server-init", "payload": payload}).to_string()
}
