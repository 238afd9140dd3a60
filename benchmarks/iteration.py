"""What Overnight itself costs: sessions of a model that answers at once and is never right, and the same calls bare.

The overhead of an iteration is its wall time, from one execute's scheduling to the next one's, without the time that
Claude Code's calls and the checks took; all of it comes from the session's own history.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory

from benchmarks import bare
from benchmarks.figures import Figure
from benchmarks.house import House, house
from benchmarks.models import Noted, Watched, never_right
from overnight.demo.script import Request
from overnight.request import NewSession
from workflows.contracts.outcome import CallReport

ITERATIONS = 8
CHECK = "ls | wc -l; false"
"""Never right, and each time in another way: a session that is stuck would change its course."""


@dataclass
class Found:
    """Values by iteration, but for the last four, which are by session."""

    walls: list[float] = field(default_factory=list)
    overheads: list[float] = field(default_factory=list)
    more: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    bare_sizes: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    bare_first: list[float] = field(default_factory=list)


async def measure(rounds: int) -> list[Figure]:
    """``rounds`` sessions and as many loops, in turns."""
    script = never_right()
    found = Found()
    async with Watched(script) as model, house(model) as home:
        for _ in range(rounds):
            asked, answered, session = await play(home, ITERATIONS)
            requests = [request for came, request in script.came if came > asked]
            found.answered.append(answered)
            found.first.append(min(came for came, _ in script.came if came > asked) - asked)
            history = await home.client.get_workflow_handle(session).fetch_history()
            await _look_at(home.client, history, found)
            await _bare(home, model.url, script, requests, found)
        memory = [Figure(f"memory of the {one}", "MiB", [home.memory(one)]) for one in ("worker", "server")]
        cold = home.cold_seconds
    return [
        Figure("an iteration", "s", found.walls, found.bare, "the same calls and checks"),
        Figure("of it outside the calls and checks", "s", found.overheads, found.bare, "the same calls and checks"),
        Figure("more than the bare loop", "s", found.more, found.bare, "the same calls and checks"),
        Figure("history of an iteration", "KiB", found.sizes, found.bare_sizes, "Claude Code's transcripts"),
        Figure("events of an iteration", "", found.events),
        Figure("start is answered after", "s", found.answered),
        Figure("first request after start", "s", found.first, found.bare_first, "from starting the loop"),
        Figure("stack up from cold", "s", [cold]),
        *memory,
    ]


async def play(home: House, iterations: int) -> tuple[float, float, str]:
    """A whole session: when it was asked for, after how many seconds that was answered, and its id."""
    request = NewSession.parse(goal="Write notes.", validation_command=CHECK, max_iterations=iterations)
    asked = time.time()
    session = (await home.sessions.start(request)).session_id
    answered = time.time() - asked
    while True:
        known, _ = await home.sessions.wait([session], timeout_seconds=600)
        assert not known[0].status.is_final, known[0].reason
        if known[0].reason.startswith("limit: iterations"):
            return asked, answered, session
        await home.sessions.resume(session)


async def _bare(home: House, url: str, script: Noted, requests: Sequence[Request], found: Found) -> None:
    """The calls of a session's iterations in a loop, but for the last one, which has no end in a history."""
    calls = [call for call in bare.calls_of(requests) if call.iteration < ITERATIONS]
    began = time.time()
    made = await bare.loop(calls, CHECK, url, home.folder())
    found.bare_first.append(await script.next_after(began) - began)
    found.bare.extend(made.seconds)
    found.more.extend(a - b for a, b in zip(found.walls[-len(made.seconds) :], made.seconds, strict=True))
    found.bare_sizes.append(made.transcript_bytes / len(made.seconds) / 1024)


async def _look_at(client: Client, history: WorkflowHistory, found: Found) -> None:
    """Take walls, overheads and sizes from a history; what is before the first execute is no iteration."""
    for began, events, ended in iterations_of(history.events):
        wall = ended - began
        inside = 0.0
        for event in events:
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                payloads = event.activity_task_completed_event_attributes.result.payloads
                (told,) = await client.data_converter.decode(list(payloads), [CallReport])
                inside += told.seconds
        found.walls.append(wall)
        found.overheads.append(wall - inside)
        found.events.append(len(events))
        found.sizes.append(sum(event.ByteSize() for event in events) / 1024)


def iterations_of(events: Sequence[HistoryEvent]) -> list[tuple[float, Sequence[HistoryEvent], float]]:
    """Beginning, events and end of each iteration that was followed by another one."""
    marks = [
        place
        for place, event in enumerate(events)
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
        and event.activity_task_scheduled_event_attributes.activity_type.name == "execute"
    ]
    return [(_time(events[a]), events[a:b], _time(events[b])) for a, b in pairwise(marks)]


def _time(event: HistoryEvent) -> float:
    return event.event_time.ToNanoseconds() / 1e9
