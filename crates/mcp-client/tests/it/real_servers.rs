//! Servers that we did not write: npm's `server-everything` and one made with Python's `mcp` package.

use std::time::Duration;

use mcp_client::{McpClient, ServerUrl, ToolCall};
use mcp_core::{ErrorCode, Failure};
use mcp_testkit::{Process, fetched, free_port};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

const PYTHON_SERVER: &str = "
import sys
from mcp.server.mcpserver import Context, MCPServer
server = MCPServer('python-demo', version='0.1')

@server.tool()
def shout(text: str) -> str:
    return text.upper()

@server.tool()
async def slow(ctx: Context) -> str:
    await ctx.report_progress(1, 2)
    return 'done'

@server.tool()
def broken() -> str:
    raise ValueError('it broke')

mode = sys.argv[2]
if mode == 'sse':
    server.run('sse', host='127.0.0.1', port=int(sys.argv[1]))
else:
    server.run('streamable-http', host='127.0.0.1', port=int(sys.argv[1]), json_response=mode == 'json')
";

async fn everything(transport: &str) -> (Process, u16) {
    let port = free_port();
    let mut server = Process::builder(fetched::node22())
        .arg(fetched::everything_server_js())
        .arg(transport)
        .env("PORT", port)
        .start();
    server
        .wait_for_line(&format!("port {port}"), PATIENCE)
        .await;
    (server, port)
}

async fn python(mode: &str) -> (Process, u16) {
    let port = free_port();
    let mut server = Process::builder(fetched::python())
        .args(["-c", PYTHON_SERVER, &port.to_string(), mode])
        .start();
    server.wait_for_line("Uvicorn running", PATIENCE).await;
    (server, port)
}

fn client(port: u16, path: &str) -> McpClient {
    let url = ServerUrl::parse(&format!("http://127.0.0.1:{port}{path}")).unwrap();
    McpClient::builder(url).build().unwrap()
}

async fn text_of(client: &McpClient, tool: &str, arguments: Value) -> Result<String, Failure> {
    let call = ToolCall {
        tool,
        arguments: arguments.as_object().unwrap(),
        idempotency_key: None,
        trace: &[],
        timeout: PATIENCE,
    };
    let result = client.call_tool(call).await?;
    Ok(result.text().unwrap().to_owned())
}

#[tokio::test]
async fn a_typescript_server_with_sessions_is_called_and_survives_a_restart() {
    let (mut server, port) = everything("streamableHttp").await;
    let client = client(port, "/mcp");
    let handshake = client.initialize(PATIENCE).await.unwrap();
    assert_eq!(handshake.protocol_version, "2025-11-25");
    assert!(handshake.tools.iter().any(|tool| tool.name == "echo"));
    let echo = || text_of(&client, "echo", json!({"message": "hi"}));
    assert_eq!(echo().await.unwrap(), "Echo: hi");
    assert_eq!(echo().await.unwrap(), "Echo: hi");

    server.kill9();
    let failure = echo().await.unwrap_err();
    assert!(failure.code.is_retryable(), "{failure}");
    let mut server = Process::builder(fetched::node22())
        .arg(fetched::everything_server_js())
        .arg("streamableHttp")
        .env("PORT", port)
        .start();
    server
        .wait_for_line(&format!("port {port}"), PATIENCE)
        .await;
    assert_eq!(echo().await.unwrap(), "Echo: hi");
    client.close(PATIENCE).await;
}

#[tokio::test]
async fn a_typescript_server_of_the_old_transport_is_initialized() {
    let (_server, port) = everything("sse").await;
    let handshake = client(port, "/sse")
        .initialize_over_sse(PATIENCE)
        .await
        .unwrap();
    assert_eq!(handshake.server_info.name, "mcp-servers/everything");
    assert!(handshake.tools.iter().any(|tool| tool.name == "echo"));
}

#[tokio::test]
async fn a_python_server_is_called_in_the_modern_era_with_json_and_with_streams() {
    for mode in ["json", "events"] {
        let (_server, port) = python(mode).await;
        let client = client(port, "/mcp");
        assert_eq!(
            text_of(&client, "shout", json!({"text": "hi"}))
                .await
                .unwrap(),
            "HI"
        );
        assert_eq!(text_of(&client, "slow", json!({})).await.unwrap(), "done");
        let failure = text_of(&client, "broken", json!({})).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::ToolFailed);
        let handshake = client.initialize(PATIENCE).await.unwrap();
        assert_eq!(handshake.protocol_version, "2026-07-28");
        assert_eq!(handshake.server_info.name, "python-demo");
        assert_eq!(handshake.tools.len(), 3);
    }
}

#[tokio::test]
async fn a_python_server_of_the_old_transport_is_initialized() {
    let (_server, port) = python("sse").await;
    let handshake = client(port, "/sse")
        .initialize_over_sse(PATIENCE)
        .await
        .unwrap();
    assert_eq!(handshake.server_info.name, "python-demo");
    assert_eq!(handshake.tools.len(), 3);
}
