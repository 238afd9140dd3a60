"""A session's status from what Temporal keeps by itself: search attributes and the memo. No worker is asked."""

from __future__ import annotations

import json

from pydantic import ValidationError
from temporalio.client import WorkflowExecution, WorkflowExecutionDescription

from workflows.contracts.state import Status
from workflows.contracts.status import Glance, SessionStatus
from workflows.gated import COST, GLANCE, ITERATION, PHASE, PROJECT, STATUS
from workflows.policy.view import branch

WORKFLOW_TYPE = "AutonomousSession"


def listed_query(status: Status | None, project: str | None) -> str:
    """Temporal's visibility query for the newest sessions."""
    parts = [f"WorkflowType = '{WORKFLOW_TYPE}'", "ExecutionStatus != 'ContinuedAsNew'"]
    if status is not None:
        parts.append(f"{STATUS.name} = '{status.value}'")
    if project is not None:
        parts.append(f"{PROJECT.name} = {json.dumps(project)}")
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
    return SessionStatus(
        session_id=item.id,
        status=Status(found.get(STATUS) or Status.QUEUED.value),
        reason=glance.reason,
        phase=found.get(PHASE) or "plan",
        goal=glance.goal,
        iteration=found.get(ITERATION) or 0,
        max_iterations=glance.max_iterations,
        progress=glance.progress,
        last_error=glance.last_error,
        cost_usd=found.get(COST) or 0.0,
        branch=branch(item.id),
        started_at=item.start_time,
        updated_at=item.close_time,
        next=glance.next,
    )


async def _glance(item: WorkflowExecution) -> Glance:
    try:
        return Glance.model_validate((await item.memo()).get(GLANCE))
    except ValidationError:
        return Glance(goal="")
