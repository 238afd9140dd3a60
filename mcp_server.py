"""The MCP server process: tools for autonomous sessions, thin over the client API. It holds no state of its own.

``python mcp_server.py`` serves one client on standard input and output until that client goes.
"""

from __future__ import annotations

# First of all: a client may end while the rest is being imported.
from overnight import STARTED_BY  # isort: split

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

import structlog
from mcp.server import MCPServer
from mcp.server.request_state import RequestStateSecurity
from mcp.types import ToolAnnotations
from pydantic import ValidationError

from overnight.base import chosen
from overnight.base.finish import finish
from overnight.base.settings import Settings
from overnight.base.telemetry import configure_logging
from overnight.base.tracing import configure_tracing
from overnight.base.version import VERSION
from overnight.cli import streams
from overnight.mcp import prompts, resources, tracing
from overnight.mcp.engine import Engine
from overnight.mcp.lifetime import told_to_leave
from overnight.mcp.server import QUESTION_SECONDS, OvernightServer
from overnight.mcp.session_tasks import SessionTasks
from overnight.mcp.tasks import Tasks
from overnight.mcp.tools import ALWAYS_LOADED, TOOLS

log = structlog.get_logger("mcp_server")

INSTRUCTIONS = """\
Overnight runs long, autonomous Claude Code sessions: you give a goal and a project; it plans, edits in its own clone,
runs the tests itself and goes on until they pass, for minutes or days. It works on a branch and never touches the
person's checkout. Sessions run in a durable engine on this machine and survive this client.

How: claude_autonomous returns a session_id at once. Then claude_autonomous_wait (returns when the session ended or
needs a person) or claude_autonomous_status. Every answer says in `next` what to do and when: never ask sooner than
that. A wait that times out is no failure and changes nothing. To read: overnight://sessions/{session_id}/report.

Give a validation_command whenever the project has tests. Take ids from claude_autonomous_list, never guess them.
Pausing, steering and cancelling keep all work. Only the person approves plans and raises limits:
claude_autonomous_approve asks them. They take the branch at a terminal (`overnight checkout`).
"""

AT_A_TERMINAL = (
    "overnight: this speaks MCP to a client that starts it, and waits for one now (Ctrl-C ends it);"
    " `overnight mcp install claude-code` sets one up.\n"
)


def build(engine: Engine, state: RequestStateSecurity | None = None) -> OvernightServer:
    """The server with its tools, for any transport; ``state`` seals what it asks back, for several servers alike."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[Engine]) -> AsyncIterator[Engine]:
        yield engine

    server = OvernightServer(
        "overnight",
        title="Overnight",
        version=VERSION,
        instructions=INSTRUCTIONS,
        lifespan=lifespan,
        request_state_security=state or RequestStateSecurity.ephemeral(ttl=QUESTION_SECONDS),
        extensions=[Tasks(SessionTasks())],
    )
    for function, title, hints, always in TOOLS:
        server.add_tool(
            function,
            title=title,
            description=" ".join((function.__doc__ or "").split()),
            annotations=ToolAnnotations(
                read_only_hint=hints.read_only,
                destructive_hint=hints.destructive,
                idempotent_hint=hints.idempotent,
                open_world_hint=hints.open_world,
            ),
            meta=ALWAYS_LOADED if always else None,
        )
    tracing.add(server)
    resources.add(server, engine)
    prompts.add(server)
    return server


async def serve(server: OvernightServer, parent: int) -> NoReturn:
    """Serve one client on standard input and output; ends the process when that client goes or a signal says so."""
    serving = asyncio.create_task(server.run_stdio_async())
    leaving = asyncio.create_task(told_to_leave(parent))
    await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
    # What somebody printed and nobody flushed must not reach the client at the end.
    os.dup2(sys.stderr.fileno(), 1)
    # Not by returning: a thread that reads standard input, or that starts the engine, would be waited for.
    if serving.done() and (error := serving.exception()) is not None and not _reads_no_more(error):
        log.error("the server cannot go on", exc_info=error)
        finish(1)
    log.info("leaving", why=leaving.result() if leaving.done() else "the client closed the connection")
    finish(0)


def _reads_no_more(error: BaseException) -> bool:
    """Whether it means nothing but that the client closed its end of our standard output."""
    gone = (BrokenPipeError, ConnectionResetError)
    return isinstance(error, gone) or (isinstance(error, BaseExceptionGroup) and error.split(gone)[1] is None)


def main() -> NoReturn:
    """Entry point of ``overnight-mcp``."""
    parser = argparse.ArgumentParser(
        prog="overnight-mcp",
        description="Overnight's MCP server on standard input and output. An MCP client starts it, not a person.",
        epilog="To set a client up: overnight mcp install. Over HTTP: overnight mcp --http.",
    )
    parser.add_argument("--version", action="version", version=f"overnight-mcp {VERSION}")
    streams.prepare()
    parser.parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(f"overnight-mcp: {'; '.join(chosen.problems(error))}\n")
        finish(2)
    stdio(settings, STARTED_BY)


def stdio(settings: Settings, parent: int) -> NoReturn:
    """Serve the client that ``parent`` is, or stands for, on standard input and output."""
    with_logs(settings)
    if sys.stdin.isatty():
        sys.stderr.write(AT_A_TERMINAL)
        sys.stderr.flush()
    asyncio.run(serve(build(Engine(settings)), parent))
    raise AssertionError("serve does not return")


def with_logs(settings: Settings) -> None:
    """Set logging up, before a server is built: the SDK would set up its own. Says which settings do nothing."""
    configure_logging(settings)
    if wrong := configure_tracing(settings, "mcp"):
        log.warning("no traces", problem=wrong)
    for text in chosen.unknown(os.environ):
        log.warning("settings", problem=text)


if __name__ == "__main__":
    main()
