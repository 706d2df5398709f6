//! The official SDKs as clients of the example server: each calls a tool, and is asked something by one. Of one replica, and of
//! two that get their requests by turns.

use mcp_testkit::{Process, fetched};

use crate::server::PATIENCE;
use crate::site::Site;

/// The SDK's version 1: streamable HTTP, and HTTP+SSE. The first argument is the URL, the second the transport.
const TYPESCRIPT_1: &str = "
const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');
const { SSEClientTransport } = require('@modelcontextprotocol/sdk/client/sse.js');
const { ElicitRequestSchema } = require('@modelcontextprotocol/sdk/types.js');
const [url, kind] = process.argv.slice(1);
const client = new Client({ name: 'test', version: '1' }, { capabilities: { elicitation: {} } });
client.setRequestHandler(ElicitRequestSchema, async () => ({ action: 'accept', content: { username: 'ann', email: 'a@b.c' } }));
const transport = kind === 'sse' ? new SSEClientTransport(new URL(url)) : new StreamableHTTPClientTransport(new URL(url));
(async () => {
  await client.connect(transport);
  const { tools } = await client.listTools();
  const progress = [];
  await client.callTool({ name: 'test_tool_with_progress', arguments: {} }, undefined, { onprogress: p => progress.push(p.progress) });
  const asked = await client.callTool({ name: 'test_elicitation', arguments: { message: 'Who?' } });
  console.log('tools', tools.some(t => t.name === 'server_initialize'), 'progress', progress.join(), asked.content[0].text);
  await client.close();
})();
";

/// Version 2, which finds out the protocol's version, or is told.
const TYPESCRIPT_2: &str = "
const { Client, StreamableHTTPClientTransport, SSEClientTransport } = require('@modelcontextprotocol/client');
const [url, mode] = process.argv.slice(1);
const versionNegotiation = { mode: mode.startsWith('2') ? { pin: mode } : mode === 'sse' ? 'legacy' : mode };
const client = new Client({ name: 'test', version: '2' }, { capabilities: { elicitation: {} }, versionNegotiation });
client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: { name: 'ann', username: 'ann', email: 'a@b.c' } }));
const transport = mode === 'sse' ? new SSEClientTransport(new URL(url)) : new StreamableHTTPClientTransport(new URL(url));
(async () => {
  await client.connect(transport);
  const { tools } = await client.listTools();
  const asked = await client.callTool({ name: 'test_elicitation', arguments: { message: 'Who?' } });
  console.log('tools', tools.some(t => t.name === 'server_initialize'), client.getNegotiatedProtocolVersion(), asked.content[0].text);
  await client.close();
})();
";

const PYTHON: &str = "
import asyncio, sys
from mcp import Client, ClientSession, types
from mcp.client.sse import sse_client

async def answer(context, params):
    return types.ElicitResult(action='accept', content={'username': 'ann', 'email': 'a@b.c'})

async def streamable(url, mode):
    async with Client(url, mode=mode, elicitation_callback=answer) as client:
        asked = await client.call_tool('test_elicitation', {'message': 'Who?'})
        print('http', client.protocol_version, asked.content[0].text)

async def sse(url):
    async with sse_client(url) as streams:
        async with ClientSession(*streams, elicitation_callback=answer) as client:
            await client.initialize()
            tools = await client.list_tools()
            asked = await client.call_tool('test_elicitation', {'message': 'Who?'})
            print('sse', len(tools.tools) > 10, asked.content[0].text)

async def main():
    await streamable(sys.argv[1], 'auto')
    await streamable(sys.argv[1], 'legacy')
    await sse(sys.argv[2])

asyncio.run(main())
";

/// Two tests of a scenario: of one replica, and of two.
macro_rules! by_one_and_by_two {
    ($scenario:ident) => {
        mod $scenario {
            use mcp_testkit::Redis;

            use crate::site::Site;

            #[tokio::test]
            async fn of_one() {
                super::$scenario(&Site::of_one().await).await;
            }

            #[tokio::test]
            async fn of_two() {
                let redis = Redis::start().await;
                super::$scenario(&Site::of_two(&redis).await).await;
            }
        }
    };
}

async fn printed(program: &std::path::Path, arguments: &[&str]) -> String {
    let mut client = Process::builder(program)
        .args(arguments)
        .env("NODE_PATH", fetched::node_modules().display())
        // The inspector keeps its settings there.
        .env("HOME", std::env::temp_dir().display())
        .start();
    let status = client.wait_exit(PATIENCE).await;
    let printed = client.output().join("\n");
    assert!(
        status.success(),
        "{arguments:?} ended with {status}: {printed}"
    );
    printed
}

fn assert_says(printed: &str, parts: &[&str]) {
    for part in parts {
        assert!(printed.contains(part), "{part:?} is not in: {printed}");
    }
}

by_one_and_by_two!(typescripts_first_sdk_calls_and_is_asked_over_both_its_transports);
async fn typescripts_first_sdk_calls_and_is_asked_over_both_its_transports(site: &Site) {
    for (path, kind) in [("/mcp", "http"), ("/sse", "sse")] {
        let arguments = ["-e", TYPESCRIPT_1, &site.url(path), kind];
        let printed = printed(&fetched::node22(), &arguments).await;
        assert_says(
            &printed,
            &["tools true progress 0,50,100", "action=accept", "ann"],
        );
    }
}

by_one_and_by_two!(typescripts_second_sdk_finds_the_newest_version_or_uses_the_one_it_is_told);
async fn typescripts_second_sdk_finds_the_newest_version_or_uses_the_one_it_is_told(site: &Site) {
    for (path, mode, version) in [
        ("/mcp", "auto", "2026-07-28"),
        ("/mcp", "2026-07-28", "2026-07-28"),
        ("/mcp", "legacy", "2025-11-25"),
        ("/sse", "sse", "2025-11-25"),
    ] {
        let arguments = ["-e", TYPESCRIPT_2, &site.url(path), mode];
        let printed = printed(&fetched::node22(), &arguments).await;
        assert_says(
            &printed,
            &[&format!("tools true {version}"), "action=accept", "ann"],
        );
    }
}

by_one_and_by_two!(pythons_sdk_calls_and_is_asked_in_every_era);
async fn pythons_sdk_calls_and_is_asked_in_every_era(site: &Site) {
    let arguments = ["-c", PYTHON, &site.url("/mcp"), &site.url("/sse")];
    let printed = printed(&fetched::python(), &arguments).await;
    assert_says(
        &printed,
        &[
            "http 2026-07-28 User response: action=accept",
            "http 2025-11-25 User response: action=accept",
            "sse True User response: action=accept",
        ],
    );
}

by_one_and_by_two!(the_inspector_lists_and_calls_over_both_transports);
async fn the_inspector_lists_and_calls_over_both_transports(site: &Site) {
    let inspector = fetched::inspector();
    let inspector = inspector.to_str().unwrap();
    for (path, transport) in [("/mcp", "http"), ("/sse", "sse")] {
        let url = site.url(path);
        let target = [
            inspector,
            "--cli",
            &url,
            "--transport",
            transport,
            "--method",
        ];
        let list = [&target[..], &["tools/list"]].concat();
        assert_says(
            &printed(&fetched::node22(), &list).await,
            &["server_initialize"],
        );
        let call = [
            "tools/call",
            "--tool-name",
            "greet",
            "--tool-arg",
            "name=Ann",
        ];
        let call = [&target[..], &call].concat();
        assert_says(&printed(&fetched::node22(), &call).await, &["Hello, Ann!"]);
    }
}
