"""``python -m tests.mcp.snapshot`` writes ``tools.json`` anew: what a client sees of the tools. Read the difference."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from mcp import Client

import mcp_server
from overnight.base.settings import Settings
from overnight.mcp.engine import Engine

FILE = Path(__file__).with_name("tools.json")


async def tools() -> str:
    """The answer to tools/list, as it is stored."""
    async with Client(mcp_server.build(Engine(Settings()))) as client:
        listed = await client.list_tools()
    told = [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in listed.tools]
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(asyncio.run(tools()))
