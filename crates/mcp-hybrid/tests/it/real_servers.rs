//! A job that names MCP servers that we did not write.

use mcp_testkit::{Process, fetched, free_port};
use serde_json::{Value, json};

use crate::pair::{Pair, SOON};
use crate::processes::{below, marked, wait_for_none};

/// What the pinned version offers to a client without capabilities of its own.
const EVERYTHING: [&str; 13] = [
    "echo",
    "get-annotated-message",
    "get-env",
    "get-resource-links",
    "get-resource-reference",
    "get-structured-content",
    "get-sum",
    "get-tiny-image",
    "gzip-file-as-resource",
    "toggle-simulated-logging",
    "toggle-subscriber-updates",
    "trigger-long-running-operation",
    "simulate-research-query",
];

fn tool_names(server: &Value) -> Vec<&str> {
    let tools = server["tools"].as_array().unwrap();
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn programs_are_started_and_all_their_tools_are_in_the_result_and_none_is_left() {
    let mut pair = Pair::start("programs", "").await;
    let servers = json!({
        "everything": pair.everything(),
        "modern": pair.python("modern.py"),
        "paged": pair.python("paged.py"),
    });
    pair.submit("programs", servers).await;

    let told = pair.results(1).await.remove(0);
    assert_eq!(
        (&told["jobID"], &told["status"], &told["attempts"]),
        (&json!("programs"), &json!("succeeded"), &json!(1)),
        "{told}"
    );
    let result = &told["result"];
    let everything = &result["everything"];
    assert_eq!(everything["status"], "initialized");
    assert_eq!(everything["protocolVersion"], "2025-11-25");
    assert_eq!(everything["serverInfo"]["name"], "mcp-servers/everything");
    assert_eq!(tool_names(everything), EVERYTHING);
    let echo = &everything["tools"][0]["inputSchema"];
    assert_eq!(echo["properties"]["message"]["type"], "string");

    let modern = &result["modern"];
    assert_eq!(modern["protocolVersion"], "2026-07-28");
    assert_eq!(modern["serverInfo"]["name"], "python-modern");
    assert_eq!(tool_names(modern), ["shout", "count"]);
    assert_eq!(modern["tools"][0]["description"], "Says it louder.");

    let paged = &result["paged"];
    assert_eq!(
        paged["serverInfo"],
        json!({"name": "python-paged", "version": "0.2"})
    );
    let numbered: Vec<_> = (0..25).map(|n| format!("tool-{n:02}")).collect();
    assert_eq!(tool_names(paged), numbered);

    pair.wait_all_committed().await;
    assert_eq!(pair.dead_letters().await, 0);
    let (mark, server) = (pair.mark(), pair.server.id());
    wait_for_none(|| [marked(&mark), below(server)].concat()).await;
    for process in [&mut pair.worker, &mut pair.server] {
        process.terminate();
        let status = process.wait_exit(SOON).await;
        assert!(status.success(), "{status}");
    }
}

#[tokio::test]
async fn servers_behind_urls_are_asked_over_both_transports_if_the_policy_covers_them() {
    let (http, http_port) = everything("streamableHttp").await;
    let (sse, sse_port) = everything("sse").await;
    let allowed = format!(
        "[[url]]\nprefix = \"http://127.0.0.1:{http_port}/mcp\"\n\
         [[url]]\nprefix = \"http://127.0.0.1:{sse_port}/\"\n"
    );
    let pair = Pair::start("urls", &allowed).await;
    let servers = json!({
        "http": {"type": "http", "url": format!("http://127.0.0.1:{http_port}/mcp")},
        "sse": {"type": "sse", "url": format!("http://127.0.0.1:{sse_port}/sse")},
    });
    pair.submit("urls", servers).await;
    let told = pair.results(1).await.remove(0);
    assert_eq!(told["status"], "succeeded", "{told}");
    for transport in ["http", "sse"] {
        let server = &told["result"][transport];
        assert_eq!(server["serverInfo"]["name"], "mcp-servers/everything");
        assert_eq!(tool_names(server), EVERYTHING, "{transport}");
    }

    let elsewhere = format!("http://127.0.0.1:{http_port}/elsewhere?key=hunter2hunter2");
    pair.submit(
        "elsewhere",
        json!({"x": {"type": "http", "url": elsewhere}}),
    )
    .await;
    let letter = pair.dead_letter("elsewhere", 1).await;
    assert_eq!(
        letter.header("mcp.error.code").as_deref(),
        Some("launch-denied")
    );
    pair.wait_all_committed().await;
    let headers = format!("{:?}", letter.headers);
    assert!(!headers.contains("hunter2"), "{headers}");
    assert!(!pair.log().contains("hunter2"), "{}", pair.log());
    drop((http, sse));
}

async fn everything(transport: &str) -> (Process, u16) {
    let port = free_port();
    let mut server = Process::builder(fetched::node22())
        .arg(fetched::everything_server_js())
        .arg(transport)
        .env("PORT", port)
        .start();
    server.wait_for_line(&format!("port {port}"), SOON).await;
    (server, port)
}
