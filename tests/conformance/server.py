"""``python -m tests.conformance.server PORT``: our layers, over HTTP, with the suite's fixtures instead of our tools.

It keeps its clients' sessions, as the real one does not: without, a server of the older protocol can ask nobody.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server import MCPServer

import mcp_server
from overnight.base.settings import Settings
from overnight.mcp import http
from overnight.mcp.engine import Engine
from overnight.mcp.server import OvernightServer
from overnight.mcp.tasks import Tasks
from tests.conformance.fixtures import asking, contents, documents, jobs


def fixtures(settings: Settings) -> OvernightServer:
    """Our server without its tools, with the suite's instead."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[Engine]) -> AsyncIterator[Engine]:
        yield Engine(settings)

    server = OvernightServer(
        "overnight-fixtures",
        version="1",
        lifespan=lifespan,
        extensions=[Tasks(jobs.Jobs())],
        request_state_security=http.request_state(settings),
    )
    contents.add(server)
    asking.add(server)
    jobs.add(server)
    documents.add(server)
    documents.add_older(server)
    return server


if __name__ == "__main__":
    chosen = Settings()
    mcp_server.with_logs(chosen)
    listener, address = http.listen(chosen, "127.0.0.1", int(sys.argv[1]))
    asyncio.run(http.serve(fixtures(chosen), chosen, listener, address, stateless=False))
