"""Answering a session that waits for a person's approval: the part of the client API that is a person's alone."""

from __future__ import annotations

import getpass
import platform
from typing import Any
from uuid import uuid4

from pydantic import ValidationError

from overnight.errors import InvalidRequestError
from overnight.exchange import Exchange
from overnight.request import in_words, refuse_secrets, typed
from workflows.contracts.approvals import Approve, PlanEdit, PlanView, Reject
from workflows.contracts.status import SessionStatus
from workflows.session import AutonomousSession


class Approvals:
    """Approve and reject what waits, and see the plan in full. Every error is a ``SessionError`` in words."""

    def __init__(self, exchange: Exchange, *, by: str | None = None) -> None:
        self._exchange = exchange
        self._by = by
        """Who answers, where that is not the user of this process."""

    async def plan(self, session_id: str) -> PlanView:
        """The session's plan in full. Raises ``UnreachableError`` without a worker."""
        known: PlanView = await self._exchange.query(session_id, AutonomousSession.plan_in_full)
        return known

    async def approve(
        self, session_id: str, request: str, *, plan: PlanEdit | None = None, by: str | None = None
    ) -> SessionStatus:
        """Approve what waits under ``request``, with the plan as edited. The same approval twice is harmless.

        ``by`` says whose word it is; the system's name for whoever runs this when absent.

        Raises ``InvalidRequestError`` when something else waits, when the edit cannot be taken over or holds a
        secret, ``SessionClosedError``, ``UnreachableError``.
        """
        if plan is not None:
            _check(plan)
        message = _made(Approve, by=by or self._by, request=request, plan=plan)
        return await self._exchange.update(session_id, AutonomousSession.approve, message)

    async def reject(
        self, session_id: str, request: str, *, reason: str, end: bool = False, by: str | None = None
    ) -> SessionStatus:
        """Send what waits under ``request`` back for a ``reason``, or ``end`` the session. Raises as ``approve``."""
        message = _made(Reject, by=by or self._by, request=request, reason=reason, end=end)
        refuse_secrets("reason", reason)
        return await self._exchange.update(session_id, AutonomousSession.reject, message)


def whoami() -> str:
    """Who uses this client, as the system knows it: user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        user = "somebody"
    return f"{user}@{platform.node() or 'unknown host'}"


def _made(kind: type[Any], by: str | None, **given: Any) -> Any:
    try:
        return kind(id=uuid4().hex[:12], by=by or whoami(), **given)
    except ValidationError as error:
        raise InvalidRequestError(in_words(error)) from None


def _check(plan: PlanEdit) -> None:
    """Raises ``InvalidRequestError`` for what history must not keep, or would keep as something else."""
    for n, step in enumerate(plan.steps, 1):
        for name in ("title", "instructions"):
            refuse_secrets(f"step {n}, {name}", getattr(step, name))
    for n, criterion in enumerate(plan.criteria or [], 1):
        refuse_secrets(f"criterion {n}, description", criterion.description)
        if criterion.command is not None:
            refuse_secrets(f"criterion {n}, command", criterion.command)
            try:
                typed(criterion.command)
            except ValueError as error:
                raise InvalidRequestError(f"criterion {n}, command: {error}") from None
