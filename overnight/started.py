"""A session as it begins: how it is listed, the answer to its start, and what was chosen for it and it will not get."""

from __future__ import annotations

from datetime import UTC, datetime

from temporalio.common import SearchAttributePair, TypedSearchAttributes

from overnight.base.chosen import without_effect
from overnight.base.settings import Settings
from overnight.base.tracing import is_on
from overnight.hints import unreached
from overnight.reach import Reach
from workflows.contracts.reads import HostAnswer, ProjectAnswer
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionState, Status
from workflows.contracts.status import SessionStatus
from workflows.gated import COST, ITERATION, PHASE, PROJECT, STATUS
from workflows.policy import view
from workflows.policy.record import one_line
from workflows.policy.words import counted, exposure, sandbox, with_hosts

UNTRACED = (
    "the running worker exports no spans, so what it does is missing from the trace; to have it there:"
    " overnight down && overnight up, where the exporter is set"
)


class Started(SessionStatus):
    """A session that was started, or that was there already under the id that was asked for."""

    existed: bool = False
    """Nothing was started: the session is as it was asked for before."""
    warning: str = ""
    """What its sandbox leaves open, in words; empty when nothing."""
    notes: list[str] = []
    """What the caller chose and will not get: settings that the running worker does not have, hosts out of reach."""


def listed_as(spec: SessionSpec, state: SessionState, reach: Reach) -> TypedSearchAttributes:
    """What Temporal lists the session by from its first moment on, whoever of ``reach`` starts it."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(STATUS, Status.QUEUED.value),
            SearchAttributePair(PHASE, state.phase),
            SearchAttributePair(PROJECT, spec.project.key),
            SearchAttributePair(ITERATION, 0),
            SearchAttributePair(COST, 0.0),
            *reach.attributes(),
        ]
    )


def there_already(known: SessionStatus) -> Started:
    """The session that has the id that was asked for."""
    return Started(**known.model_dump(), existed=True, warning=exposure(known.sandbox))


def begun(spec: SessionSpec, state: SessionState, seen: ProjectAnswer, host: HostAnswer, notes: list[str]) -> Started:
    """A session that has just begun, from a project as it was ``seen``, with a worker that is as ``host`` says."""
    queued = view.status(spec, state, datetime.now(UTC))
    left_out = ""
    if dirty := seen.dirty_files:
        verb = "is" if dirty == 1 else "are"
        left_out = f" {counted(dirty, 'uncommitted file')} of the project {verb} not part of it."
    bounded = host.isolation_full and spec.egress.mode != "host"
    given = sandbox(host.isolation, spec.egress.mode if bounded else None)
    update = {
        "next": f"{queued.next}{left_out}",
        "sandbox": one_line(with_hosts(given, spec.egress.allow)),
        "warning": exposure(given),
        "notes": notes,
    }
    return Started(**{**queued.model_dump(), **update})


def not_given(spec: SessionSpec, host: HostAnswer, settings: Settings, *, here: bool) -> list[str]:
    """What was chosen for a session and does nothing; settings are told to those who are ``here``, and made them."""
    hosts = unreached(spec.egress, host)
    if not here:
        return hosts
    return [*without_effect(settings, host.settings), *hosts, *([UNTRACED] if is_on() and not host.traced else [])]
