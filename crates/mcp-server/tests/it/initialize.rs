//! `server_initialize` for real, with servers that we did not write.

use std::net::TcpListener;
use std::sync::Arc;

use mcp_testkit::fetched;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::server::{Server, error_of, sentence};

const PYTHON_SERVER: &str = "
import os
from mcp.server.mcpserver import MCPServer
server = MCPServer('python-demo', version='0.1')

@server.tool()
def shout(text: str) -> str:
    'Says it louder.'
    return text.upper()

if os.environ.get('DB_PASSWORD') != 'hunter2hunter2':
    raise SystemExit('wrong password: ' + os.environ.get('DB_PASSWORD', 'none'))
server.run('stdio')
";

fn tool_names(result: &Value) -> Vec<&str> {
    let tools = result["structuredContent"]["tools"].as_array().unwrap();
    tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn npms_everything_server_is_started_and_its_tools_are_listed() {
    let (node, modules) = (fetched::node22(), fetched::node_modules());
    let policy = format!("[[command]]\nname = \"node\"\npath = {node:?}\nread = [{modules:?}]\n");
    let server = Server::with_policy(&policy).await;
    let arguments = json!({"name": "everything", "command": "node", "args": [fetched::everything_server_js(), "stdio"]});
    let result = server.initialize(arguments).await;
    let content = &result["structuredContent"];
    assert_eq!(content["name"], "everything", "{result}");
    assert_eq!(content["status"], "initialized");
    assert_eq!(content["protocolVersion"], "2025-11-25");
    assert!(content["capabilities"]["tools"].is_object());
    assert!(content["durationMs"].as_u64().unwrap() > 0);
    assert!(tool_names(&result).contains(&"echo"), "{result}");
    let text: Value = serde_json::from_str(sentence(&result)).unwrap();
    assert_eq!(&text, content);
}

#[tokio::test]
async fn a_python_server_gets_its_environment_file_and_no_error_shows_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("path/to")).unwrap();
    let file = folder.path().join("path/to/.env");
    std::fs::write(&file, "DB_PASSWORD='hunter2hunter2'\n").unwrap();
    let python = fetched::python();
    let policy = format!(
        "env_dir = {:?}\n[[command]]\nname = \"python\"\npath = {python:?}\n",
        folder.path()
    );
    let server = Server::with_policy(&policy).await;
    let arguments = json!({
        "name": "python", "command": "python", "args": ["-c", PYTHON_SERVER], "envFile": "path/to/.env",
    });
    let result = server.initialize(arguments.clone()).await;
    assert_eq!(
        result["structuredContent"]["protocolVersion"], "2026-07-28",
        "{result}"
    );
    assert_eq!(
        result["structuredContent"]["serverInfo"]["name"],
        "python-demo"
    );
    assert_eq!(tool_names(&result), ["shout"]);

    std::fs::write(&file, "DB_PASSWORD=correct-horse-battery\n").unwrap();
    let result = server.initialize(arguments).await;
    assert_eq!(error_of(&result)["code"], "launch-failed");
    assert_eq!(error_of(&result)["retryable"], true);
    assert!(
        sentence(&result).contains("wrong password: [secret]"),
        "{result}"
    );
    let everything = format!("{result}{}", server.process.output().join("\n"));
    assert!(
        !everything.contains("correct-horse-battery"),
        "{everything}"
    );
}

#[tokio::test]
async fn a_server_behind_a_url_is_asked_if_the_policy_covers_it() {
    let other = Server::start().await;
    let server = Server::with_policy(&format!("[[url]]\nprefix = \"{}/mcp\"\n", other.url)).await;
    let arguments = json!({"name": "other", "type": "http", "url": format!("{}/mcp", other.url)});
    let result = server.initialize(arguments).await;
    assert_eq!(
        result["structuredContent"]["protocolVersion"], "2026-07-28",
        "{result}"
    );
    let names = tool_names(&result);
    for tool in ["publish_server", "server_initialize"] {
        assert!(names.contains(&tool), "{names:?}");
    }

    let arguments = json!({"name": "other", "type": "http", "url": format!("{}/message?key=hunter2", other.url)});
    let result = server.initialize(arguments).await;
    assert_eq!(error_of(&result)["code"], "launch-denied");
    assert!(!result.to_string().contains("hunter2"), "{result}");
}

#[tokio::test]
async fn connections_are_bounded_as_programs_are() {
    // Connections are made, and nobody ever answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let policy =
        format!("[limits]\nconcurrency = 1\nhandshake_ms = 60000\n[[url]]\nprefix = {url:?}\n");
    let server = Arc::new(Server::with_policy(&policy).await);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let (server, url) = (Arc::clone(&server), url.clone());
        calls.spawn(async move {
            let arguments = json!({"name": "other", "type": "http", "url": url});
            server.initialize(arguments).await
        });
    }
    let busy = json!({"code": "launch-busy", "retryable": true, "retryAfterMs": 1000});
    for _ in 0..7 {
        let result = calls.join_next().await.unwrap().unwrap();
        assert_eq!(error_of(&result), &busy, "{result}");
    }
}

#[tokio::test]
async fn nothing_runs_that_the_operator_did_not_allow() {
    let deny_all = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let proof = folder.path().join("proof");
    let touch = json!({"name": "x", "command": "touch", "args": [&proof]});
    let result = deny_all.initialize(touch.clone()).await;
    assert_eq!(
        error_of(&result),
        &json!({"code": "launch-denied", "retryable": false})
    );
    assert!(sentence(&result).contains("\"touch\""), "{result}");

    let some = Server::with_policy("[[command]]\nname = \"sh\"\nargs = [\"-c\", \"true\"]\n").await;
    for arguments in [
        touch,
        json!({"name": "x", "command": "sh", "args": ["-c", "touch proof"]}),
        json!({"name": "x", "command": "/bin/../bin/sh", "args": ["-c", "true"]}),
        json!({"name": "x", "command": "sh", "args": ["-c", "true"], "env": {"LD_PRELOAD": "/x.so"}}),
        json!({"name": "x", "command": "sh", "args": ["-c", "true"], "env": {"ANY": "y"}}),
        json!({"name": "x", "command": "sh", "args": ["-c", "true"], "envFile": "/etc/environment"}),
        json!({"name": "x", "url": "http://169.254.169.254/"}),
    ] {
        let result = some.initialize(arguments).await;
        assert_eq!(error_of(&result)["code"], "launch-denied", "{result}");
    }
    assert!(!proof.exists());
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_a_tool_error() {
    let server = Server::start().await;
    for arguments in [
        json!({}),
        json!({"name": 7}),
        json!({"name": "x"}),
        json!({"name": "x", "command": ""}),
        json!({"name": "x", "command": "sh", "url": "http://h/"}),
        json!({"name": "x", "command": "sh", "args": "-c"}),
        json!({"name": "x", "command": "sh", "env": {"A": 1}}),
        json!({"name": "x", "type": "websocket", "url": "http://h/"}),
    ] {
        let result = server.initialize(arguments.clone()).await;
        let error = error_of(&result);
        assert_eq!(error["code"], "invalid-arguments", "{arguments}: {result}");
        assert_eq!(error["retryable"], false);
        assert_eq!(result.get("structuredContent"), None);
    }
}
