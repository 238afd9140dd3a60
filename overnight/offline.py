"""A session's status from what Temporal keeps by itself: search attributes and the memo. No worker is asked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError
from temporalio.client import WorkflowExecution, WorkflowExecutionDescription
from temporalio.common import SearchAttributeKey

from overnight.base.tracing import TRACE
from overnight.errors import InvalidRequestError
from workflows.contracts.state import Status
from workflows.contracts.status import Glance, SessionStatus
from workflows.gated import COST, GLANCE, ITERATION, OWNER, PHASE, PROJECT, STATUS
from workflows.policy.record import one_line
from workflows.policy.view import branch

WORKFLOW_TYPE = "AutonomousSession"
FAILS = "the worker fails on this session"
PROBLEMS = SearchAttributeKey.for_keyword_list("TemporalReportedProblems")
"""What Temporal itself puts on a workflow whose worker fails on it again and again."""
_CHECKSUM_BYTES = 6

_TRACE_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Cursor:
    """Where a list goes on: a page of Temporal's, and how many rows of it were shown already.

    It has a checksum: of a page that is none of its own, Temporal says only that something went wrong.
    """

    token: bytes = b""
    skip: int = 0

    def __str__(self) -> str:
        told = b"%d:%b" % (self.skip, self.token)
        return base64.urlsafe_b64encode(_checksum(told) + told).decode()

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """The cursor that ``text`` stands for; the beginning without any. Raises ``InvalidRequestError``."""
        if text is None:
            return cls()
        with suppress(binascii.Error, ValueError):
            raw = base64.b64decode(text, altchars=b"-_", validate=True)
            checksum, told = raw[:_CHECKSUM_BYTES], raw[_CHECKSUM_BYTES:]
            if checksum == _checksum(told):
                skip, _, token = told.partition(b":")
                return cls(token, int(skip))
        raise InvalidRequestError("cursor: it is none of this list; leave it out to begin with the newest")


def _checksum(told: bytes) -> bytes:
    return hashlib.sha256(told).digest()[:_CHECKSUM_BYTES]


def listed_query(status: Status | None, project: str | None, owner: str | None = None) -> str:
    """Temporal's visibility query for the newest sessions."""
    parts = [f"WorkflowType = '{WORKFLOW_TYPE}'", "ExecutionStatus != 'ContinuedAsNew'"]
    if status is not None:
        parts.append(f"{STATUS.name} = '{status.value}'")
    if project is not None:
        parts.append(f"{PROJECT.name} = {json.dumps(project)}")
    if owner is not None:
        parts.append(f"{OWNER.name} = {json.dumps(owner)}")
    return " AND ".join(parts)


async def from_description(described: WorkflowExecutionDescription) -> SessionStatus:
    """The last word of a session whose worker does not answer."""
    known = await from_listing(described)
    return known.model_copy(
        update={
            "worker": "offline" if not known.status.is_final else "online",
            "next": known.next
            if known.status.is_final
            else "No worker answers now, so this is its last word; the session goes on when one is back"
            " (`overnight doctor`).",
        }
    )


async def from_listing(item: WorkflowExecution) -> SessionStatus:
    """A session as lists show it."""
    found = item.typed_search_attributes
    glance = await _glance(item)
    status = Status(found.get(STATUS) or Status.QUEUED.value)
    return SessionStatus(
        session_id=item.id,
        status=status,
        reason=glance.reason if status.is_final else problems(item) or glance.reason,
        phase=found.get(PHASE) or "plan",
        goal=glance.goal,
        iteration=found.get(ITERATION) or 0,
        max_iterations=glance.max_iterations,
        progress=glance.progress,
        last_error=glance.last_error,
        recovery=glance.recovery,
        approval=glance.approval,
        cost_usd=found.get(COST) or 0.0,
        branch=branch(item.id),
        started_at=item.start_time,
        updated_at=item.close_time,
        trace_id=await trace_of(item),
        next=glance.next,
    )


async def trace_of(item: WorkflowExecution) -> str:
    """The id of the session's trace; empty where there is none."""
    found = (await item.memo()).get(TRACE)
    return found if isinstance(found, str) and _TRACE_ID.fullmatch(found) else ""


def problems(item: WorkflowExecution) -> str:
    """What Temporal says is wrong with the session's workflow, in one line; empty when nothing."""
    told = item.typed_search_attributes.get(PROBLEMS)
    return one_line(f"{FAILS}: {', '.join(told)}") if told else ""


async def _glance(item: WorkflowExecution) -> Glance:
    try:
        return Glance.model_validate((await item.memo()).get(GLANCE))
    except ValidationError:
        return Glance(goal="")
