"""A server of one tool, whose description says in which trace the server was started and asked."""

import json
import os
import sys

for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    if request["method"] == "initialize":
        answer["result"] = {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "traced", "version": "1"},
        }
    elif request["method"] == "tools/list":
        asked = request.get("params", {}).get("_meta", {}).get("traceparent")
        trace = {"asked": asked, "started": os.environ.get("TRACEPARENT")}
        tool = {"name": "trace", "description": json.dumps(trace), "inputSchema": {"type": "object"}}
        answer["result"] = {"tools": [tool]}
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
