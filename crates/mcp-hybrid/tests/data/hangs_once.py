"""Hangs at its first start, with a daemon beside it that ignores signals. From then on it is a server of one tool."""

import os
import signal
import sys
import time

started = sys.argv[1]
if not os.path.exists(started):
    open(started, "w").close()
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while True:
        time.sleep(1)

from mcp.server.mcpserver import MCPServer  # noqa: E402

server = MCPServer("python-hangs-once", version="0.3")


@server.tool()
def ping() -> str:
    """Answers."""
    return "pong"


server.run("stdio")
