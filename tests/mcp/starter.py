"""A client in a process of its own: starts the session that it is told, says its server's pid, and stays."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import psutil
from mcp import Client, StdioServerParameters

from tests.mcp.conftest import ROOT, call
from tests.sessions.plays import CHECK, GOAL


async def main(session_id: str) -> None:
    parameters = StdioServerParameters(
        command=sys.executable, args=[str(Path(ROOT) / "mcp_server.py")], env=dict(os.environ), cwd=ROOT
    )
    async with Client(parameters) as client:
        await call(client, "claude_autonomous", goal=GOAL, validation_command=CHECK, session_id=session_id)
        (server,) = [p for p in psutil.Process().children() if "mcp_server.py" in " ".join(p.cmdline())]
        sys.stdout.write(f"{server.pid}\n")
        sys.stdout.flush()
        await call(client, "claude_autonomous_wait", session_ids=[session_id], until="end", timeout_seconds=600)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
