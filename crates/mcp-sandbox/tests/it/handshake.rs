use mcp_core::ErrorCode;

use crate::program::{Program, sandbox};

const MODERN: &str = r#"
import json, sys
for line in sys.stdin:
    m = json.loads(line)
    meta = m["params"]["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28", meta
    assert "io.modelcontextprotocol/clientInfo" in meta and "io.modelcontextprotocol/clientCapabilities" in meta
    if m["method"] == "server/discover":
        r = {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
             "ttlMs": 0, "cacheScope": "private", "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "modern", "version": "9"}}}
    else:
        page = int(m["params"].get("cursor", "0"))
        r = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private",
             "tools": [{"name": "t%d" % page, "inputSchema": {"type": "object", "$comment": "kept"}}]}
        if page < 2:
            r["nextCursor"] = str(page + 1)
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": r}), flush=True)
"#;

#[tokio::test]
async fn a_modern_server_is_initialized_with_all_pages_of_its_tools() {
    let program = Program::new(MODERN);
    let result = program.run(&sandbox("")).await.unwrap();
    assert_eq!(result.name, "tested");
    assert_eq!(result.protocol_version, "2026-07-28");
    assert_eq!(
        (
            result.server_info.name.as_str(),
            result.server_info.version.as_str()
        ),
        ("modern", "9")
    );
    let names: Vec<_> = result.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["t0", "t1", "t2"]);
    assert_eq!(result.tools[0].input_schema["$comment"], "kept");
    program.assert_gone();
}

#[tokio::test]
async fn a_legacy_server_is_initialized_with_its_capabilities_as_declared() {
    let program = Program::legacy("serve()");
    let result = program.run(&sandbox("")).await.unwrap();
    assert_eq!(result.protocol_version, "2025-06-18");
    assert_eq!(result.server_info.name, "legacy");
    assert_eq!(result.capabilities["x"]["y"], 1);
    assert_eq!(result.tools[0].description.as_deref(), Some("does echo"));
    program.assert_gone();
}

#[tokio::test]
async fn a_legacy_server_that_answers_nothing_before_initialize_is_initialized() {
    let program = Program::legacy(
        "first = answer\ndef answer(method, params):\n    return first(method, params)\n\
         for line in sys.stdin:\n    m = json.loads(line)\n    if m['method'] == 'initialize':\n        \
         send({'jsonrpc': '2.0', 'id': m['id'], 'result': answer('initialize', {})})\n        serve()",
    );
    let result = program.run(&sandbox("")).await.unwrap();
    assert_eq!(result.server_info.name, "legacy");
}

#[tokio::test]
async fn a_legacy_server_that_ends_when_anything_precedes_initialize_is_initialized() {
    let program = Program::legacy(
        "line = sys.stdin.readline()\nm = json.loads(line)\nif m['method'] != 'initialize':\n    sys.exit(1)\n\
         send({'jsonrpc': '2.0', 'id': m['id'], 'result': answer('initialize', {})})\nserve()",
    );
    let result = program.run(&sandbox("")).await.unwrap();
    assert_eq!(result.server_info.name, "legacy");
    program.assert_gone();
}

#[tokio::test]
async fn greetings_and_questions_of_the_server_do_no_harm() {
    let program = Program::legacy(
        "print('Welcome!')\nsend({'jsonrpc': '2.0', 'id': 'q', 'method': 'ping'})\n\
         assert json.loads(sys.stdin.readline())['method'] == 'server/discover'\n\
         assert json.loads(sys.stdin.readline()) == {'jsonrpc': '2.0', 'id': 'q', 'result': {}}\n\
         send({'jsonrpc': '2.0', 'id': 1, 'error': {'code': -32601, 'message': 'no'}})\nserve()",
    );
    program.run(&sandbox("")).await.unwrap();
}

#[tokio::test]
async fn a_server_of_an_unknown_version_is_refused() {
    let program = Program::new(
        "import json, sys\nm = json.loads(sys.stdin.readline())\n\
         e = {'code': -32022, 'message': 'no', 'data': {'supported': ['2031-01-01']}}\n\
         print(json.dumps({'jsonrpc': '2.0', 'id': m['id'], 'error': e}), flush=True)\nsys.stdin.read()",
    );
    let failure = program.run(&sandbox("")).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::UnsupportedVersion);
    assert!(failure.message.contains("2031-01-01"), "{failure}");
}

#[tokio::test]
async fn a_server_that_refuses_to_initialize_is_quoted_without_secrets() {
    let program = Program::new(
        "import json, os, sys\nfor line in sys.stdin:\n    m = json.loads(line)\n    \
         e = {'code': -32000, 'message': 'bad token ' + os.environ['TOKEN']}\n    \
         print(json.dumps({'jsonrpc': '2.0', 'id': m['id'], 'error': e}), flush=True)",
    )
    .env("TOKEN", "hunter2hunter2");
    let failure = program.run(&sandbox("")).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::HandshakeFailed);
    assert!(
        failure.message.contains("error -32000: bad token [secret]"),
        "{failure}"
    );
}

#[tokio::test]
async fn no_error_shows_the_beginning_of_a_value_that_a_cut_would_leave() {
    let value = format!("hunter2-{}", "0123456789abcdef".repeat(4));
    let program = |what: &str| {
        let code = format!(
            "import json, os, sys\ntoken = os.environ['TOKEN']\nfor line in sys.stdin:\n    m = json.loads(line)\n    \
             answer = {what}\n    print(json.dumps({{'jsonrpc': '2.0', 'id': m['id']}} | answer), flush=True)"
        );
        Program::new(&code).env("TOKEN", &value)
    };
    for what in [
        "{'error': {'code': -32000, 'message': 'x' * 280 + token}}",
        "{'error': {'code': -32022, 'message': '', 'data': {'supported': ['x' * 30 + token, token]}}}",
        "{'result': {'protocolVersion': 'x' * 30 + token, 'capabilities': {}}}",
        "{'result': {'supportedVersions': ['2026-07-28'], 'capabilities': {'tools': {}}, 'tools': [token]}}",
    ] {
        let failure = program(what).run(&sandbox("")).await.unwrap_err();
        assert!(!failure.message.contains("hunter"), "{what}: {failure}");
    }
}
