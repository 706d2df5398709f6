"""A server of two tools, in the way that the package recommends."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("python-modern", version="0.1")


@server.tool()
def shout(text: str) -> str:
    """Says it louder."""
    return text.upper()


@server.tool()
def count(words: list[str]) -> int:
    """Counts words."""
    return len(words)


server.run("stdio")
