"""FastMCP over streamable HTTP, stateless and with JSON answers: what bench/server compares with."""

import os
from dataclasses import dataclass

from fastmcp import FastMCP


@dataclass
class Text:
    text: str


mcp = FastMCP("echo")


@mcp.tool
def echo(text: str) -> Text:
    """Gives back what it is given."""
    return Text(text)


mcp.run(
    transport="http",
    host="127.0.0.1",
    port=int(os.environ["PORT"]),
    path="/mcp",
    stateless_http=True,
    json_response=True,
    show_banner=False,
    log_level="warning",
    # By default it closes connections that are idle for 5 s, and a caller may be sending into one.
    uvicorn_config={"timeout_keep_alive": 75},
)
