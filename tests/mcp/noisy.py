"""The server with one more tool, which prints, and whose child prints, on what they take for standard output."""

from __future__ import annotations

import asyncio
import os
import subprocess

import mcp_server
from overnight.base.settings import Settings
from overnight.base.telemetry import configure_logging
from overnight.mcp.engine import Engine


async def noise() -> str:
    """Prints."""
    print("not JSON")  # noqa: T201
    os.write(1, b"neither is this\n")
    await asyncio.to_thread(subprocess.run, ["echo", "nor this"], check=True)
    return "done"


if __name__ == "__main__":
    settings = Settings()
    configure_logging(settings)
    server = mcp_server.build(Engine(settings))
    server.add_tool(noise)
    asyncio.run(mcp_server.serve(server, os.getppid()))
