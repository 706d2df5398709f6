//! Clients that we did not write.

use mcp_testkit::{Process, fetched};

use crate::server::{PATIENCE, Server};

const PYTHON_CLIENT: &str = "
import asyncio, sys
from mcp import Client

async def main():
    for mode in ('auto', 'legacy'):
        async with Client(sys.argv[1], mode=mode) as client:
            tools = await client.list_tools()
            assert 'server_initialize' in [tool.name for tool in tools.tools], tools
            call = {'name': 'shell', 'command': 'python', 'args': ['-c', sys.argv[2]]}
            result = await client.call_tool('server_initialize', call)
            assert not result.is_error, result
            print(client.protocol_version, result.structured_content['serverInfo']['name'])
            denied = await client.call_tool('server_initialize', {'name': 'x', 'command': 'sh'})
            assert denied.is_error, denied

asyncio.run(main())
";

const PYTHON_SERVER: &str =
    "from mcp.server.mcpserver import MCPServer; MCPServer('tiny').run('stdio')";

#[tokio::test]
async fn pythons_client_calls_the_tool_in_both_eras() {
    let python = fetched::python();
    let server = Server::with_policy(&format!(
        "[[command]]\nname = \"python\"\npath = {python:?}\n"
    ))
    .await;
    let mut client = Process::builder(&python)
        .args([
            "-c",
            PYTHON_CLIENT,
            &format!("{}/mcp", server.url),
            PYTHON_SERVER,
        ])
        .start();
    let status = client.wait_exit(PATIENCE).await;
    let printed = client.output().join("\n");
    assert!(status.success(), "{printed}");
    client.wait_for_line("2026-07-28 tiny", PATIENCE).await;
    client.wait_for_line("2025-11-25 tiny", PATIENCE).await;
}
