"""What callers are told of an error, by tools, tasks and resources alike: the host's affairs only at it."""

from __future__ import annotations

import structlog

from overnight.base.disk import with_cause
from overnight.base.wording import reworded, unquoted
from overnight.errors import LoadingError, NotReadyError, SessionError, UnreachableError, WorkerAwayError
from overnight.exchange import DOCTOR
from overnight.mcp import callers
from overnight.mcp.beginnings import StartingError

log = structlog.get_logger("mcp_server")

MOST = 4_000
"""Characters."""


def in_words(error: SessionError) -> str:
    """The error for whoever calls now."""
    if afar() and isinstance(error, NotReadyError) and not isinstance(error, LoadingError):
        log.error("not ready for what was asked", error=str(error))
        return "This server is not ready for that. Tell the person who runs it: its log says why."
    if afar() and isinstance(error, UnreachableError) and not isinstance(error, StartingError | WorkerAwayError):
        log.warning("the engine does not answer", error=str(error))
        return (
            "The engine behind this server does not answer now. Nothing is lost: sessions go on by themselves. Call"
            " again in 10 seconds; if it stays so, tell the person who runs this server."
        )
    # What programs printed does not go to a model as if we had said it.
    told = reworded(unquoted(str(error)))[:MOST]
    if afar():
        return told.replace(DOCTOR, "if it stays so, tell the person who runs this server")
    return with_cause(told) if isinstance(error, UnreachableError) else told


def afar() -> bool:
    """Whether the caller came with a token: paths and addresses of this machine are not for such."""
    return callers.current().reach.owner is not None


def at_a_terminal() -> str:
    """Where a person types a command of Overnight: no terminal of a caller from afar knows this server's sessions."""
    return f"at a terminal{' of the machine that this server runs on' if afar() else ''}"
