//! The jobs of the demonstration, and how each must end.

use std::path::Path;

use serde_json::{Value, json};

use super::scripted_gemini::{FORBIDDEN, RECOLOUR, SKY};

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
    /// Success, after however many: a real provider may be busy.
    AnySuccess,
    /// A dead letter with that code and class.
    DeadLetter {
        code: &'static str,
        class: &'static str,
    },
}

/// The command name that the demonstration's launch policy allows.
pub(super) const DEMO_COMMAND: &str = "demo-server";

/// The jobs; starts are counted in files below `scratch`. A real Gemini is not asked for what it would refuse.
pub(super) fn jobs(scratch: &Path, real_gemini: bool) -> Vec<DemoJob> {
    let mut jobs = starting(scratch);
    jobs.extend(drawing(real_gemini));
    jobs.push(publishing());
    jobs
}

/// Jobs that start MCP servers, or try to.
fn starting(scratch: &Path) -> Vec<DemoJob> {
    let success = |attempts| Expected::Success { attempts };
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

/// Jobs that ask Gemini, or what stands in for it.
fn drawing(real_gemini: bool) -> Vec<DemoJob> {
    let success = match real_gemini {
        true => Expected::AnySuccess,
        false => Expected::Success { attempts: 1 },
    };
    let svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="80" height="60"><rect width="80" height="60" fill="{SKY}"/></svg>"#
    );
    let mut jobs = vec![
        DemoJob {
            id: "picture",
            shows: "svg-generate: draws, and takes out what no picture needs",
            value: job(
                "picture",
                "svg-generate",
                json!({"prompt": "a lighthouse at night", "width": 320, "height": 200}),
            ),
            expected: success,
        },
        DemoJob {
            id: "recolour",
            shows: "tool-call: any tool, here refine_svg",
            value: job(
                "recolour",
                "tool-call",
                json!({"tool": "refine_svg", "arguments": {"svg": svg, "instructions": RECOLOUR}}),
            ),
            expected: success,
        },
    ];
    if !real_gemini {
        jobs.push(DemoJob {
            id: "forbidden",
            shows: "svg-generate: the provider's filters stop it",
            value: job("forbidden", "svg-generate", json!({"prompt": FORBIDDEN})),
            expected: permanent("content-blocked"),
        });
    }
    jobs
}

/// A job that publishes a server.
fn publishing() -> DemoJob {
    let server = json!({
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "com.example/lighthouse",
        "version": "1.0.0",
        "description": "Tells which lighthouse is seen from where",
        "remotes": [{"type": "streamable-http", "url": "https://mcp.example.com/lighthouse"}],
    });
    DemoJob {
        id: "publish",
        shows: "server-publish: checks a server.json and keeps it",
        value: job("publish", "server-publish", json!({"server": server})),
        expected: Expected::Success { attempts: 1 },
    }
}

fn permanent(code: &'static str) -> Expected {
    Expected::DeadLetter {
        code,
        class: "permanent",
    }
}

fn demo(name: &str, more: &[&str]) -> Value {
    let mut args = vec!["demo-server", "--name", name];
    args.extend_from_slice(more);
    json!({"command": DEMO_COMMAND, "args": args})
}

fn server_init(id: &str, servers: Value) -> String {
    job(id, "server-init", json!({"mcpServers": servers}))
}

fn job(id: &str, job_type: &str, payload: Value) -> String {
    json!({"jobID": id, "jobType": job_type, "payload": payload.to_string()}).to_string()
}
