"""No call but wait takes longer than two seconds, whatever Temporal and workers do, and each says what is wrong."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import psutil
import pytest
import pytest_asyncio
from mcp import Client

import mcp_server
from overnight import stack
from overnight.base import patience
from overnight.errors import InvalidRequestError
from overnight.mcp.beginnings import Beginnings, StartingError
from overnight.mcp.engine import Engine
from overnight.stack import Process
from overnight.started import Started
from tests.mcp.conftest import MODES, Mode, Place, call, text_of
from tests.mcp.knows_tasks import KnowsTasks, told_no
from tests.mcp.test_approving import Person
from tests.promptness import promptly
from tests.sessions.plays import GOAL


def every_tool(sid: str, new: str) -> list[tuple[str, dict[str, Any]]]:
    """A call of every tool but wait, the one that starts a session first, and the one that ends it last."""
    one = {"session_id": sid}
    return [
        ("claude_autonomous", {"goal": GOAL, "session_id": new}),
        ("claude_autonomous_status", one),
        ("claude_autonomous_status", {**one, "detail": "full"}),
        ("claude_autonomous_list", {}),
        ("claude_autonomous_list", {"query": "greet"}),
        ("claude_autonomous_events", one),
        ("claude_autonomous_diff", one),
        ("claude_autonomous_control", {**one, "action": "pause"}),
        ("claude_autonomous_control", {**one, "action": "resume"}),
        ("claude_autonomous_steer", {**one, "guidance": "x"}),
        ("claude_autonomous_approve", one),
        ("claude_knowledge_search", {"query": GOAL}),
        ("claude_learn_from_session", one),
        ("claude_autonomous_cancel", one),
    ]


async def timed(client: Client, calls: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, bool]]:
    """What these calls say, all at once, and which are errors; fails when one takes too long."""

    async def one(tool: str, arguments: dict[str, Any]) -> tuple[str, bool]:
        result = await promptly(partial(client.call_tool, tool, arguments))
        return text_of(result), result.is_error

    return list(await asyncio.gather(*(one(tool, arguments) for tool, arguments in calls)))


@asynccontextmanager
async def stopped(process: Process | None) -> AsyncIterator[None]:
    """A process that is there and does nothing."""
    assert process is not None
    found = psutil.Process(process.pid)
    found.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        found.send_signal(signal.SIGCONT)


@pytest_asyncio.fixture
async def silent_temporal(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A configured Temporal that accepts connections and never says a word."""

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"{host}:{port}")
    yield
    server.close()


@pytest.mark.parametrize("mode", MODES)
async def test_a_temporal_that_never_answers(silent_temporal: None, place: Place, mode: Mode) -> None:
    person = Person()
    server = mcp_server.build(Engine(place.settings))
    async with Client(server, mode=mode, elicitation_callback=person.answer) as client:
        said = await timed(client, every_tool("some-one", "another-one"))
    for text, is_error in said:
        assert is_error
        assert "TEMPORAL_ADDRESS" in text
        assert "call again in 5 seconds" in text
    assert person.asked == []


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_worker_that_is_stopped_and_a_server_that_is_stopped(place: Place) -> None:
    """Connected before, and not: the tools say that the worker is offline, and that Temporal does not answer."""
    sid = place.name()
    found = stack.find(place.settings)
    assert found is not None
    async with place.client() as connected:
        await call(connected, "claude_autonomous", goal=GOAL, session_id=sid, mode="iterative")
        waited = await call(connected, "claude_autonomous_wait", session_ids=[sid], timeout_seconds=50)
        assert waited["status"] == "waiting_approval"
        async with place.client() as new, stopped(found.supervisor):
            calls = every_tool(sid, "another-one")[:-1]
            async with stopped(found.worker):
                for client in (connected, new):
                    told = dict(zip((tool for tool, _ in calls), await timed(client, calls), strict=True))
                    for tool in ("claude_autonomous_status", "claude_autonomous_steer"):
                        assert "No worker answers now" in told[tool][0]
                        assert not told[tool][1]
                    assert not told["claude_autonomous_list"][1]
                    assert "worker answers" in told["claude_autonomous_events"][0]
                    assert "worker offline" in told["claude_autonomous_diff"][0]
                    assert "the worker is offline" in told["claude_autonomous_approve"][0]
                    assert told["claude_autonomous"][1]
                    assert "the worker is offline or busy" in told["claude_autonomous"][0]
                    assert "call again in 3 seconds, with session_id='another-one'" in told["claude_autonomous"][0]
            async with stopped(found.server), place.client() as fresh:
                for client in (connected, fresh):
                    for text, is_error in await timed(client, every_tool(sid, "yet-another")):
                        assert is_error
                        assert "Temporal" in text
                        whys = ("does not answer", "server to answer", "is offline", "not up yet", "nobody answered")
                        assert any(why in text for why in whys), text
                async with Client(mcp_server.build(Engine(place.settings)), extensions=[KnowsTasks()]) as knowing:
                    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
                        said = await promptly(partial(told_no, knowing, method, sid))
                        assert "The task is not affected" in said
        async with asyncio.timeout(120):
            while (await connected.call_tool("claude_autonomous_status", {"session_id": sid})).is_error:
                await asyncio.sleep(0.1)
        for one in (sid, "another-one", "yet-another"):
            await connected.call_tool("claude_autonomous_cancel", {"session_id": one})


async def test_a_start_that_goes_on_is_found_again_and_one_that_is_given_up_is_taken_back() -> None:
    free, began = asyncio.Event(), 0

    async def start() -> tuple[Started, str]:
        nonlocal began
        began += 1
        assert patience.left(30) == 30, "it has the time of the call that began it"
        await free.wait()
        raise InvalidRequestError("no such project")

    beginnings = Beginnings(patience_seconds=0.05)
    with patience.at_most(1):
        for _ in range(3):
            with pytest.raises(StartingError, match="call again in 3 seconds"):
                await beginnings.of("the same", start)
    assert began == 1
    free.set()
    with pytest.raises(InvalidRequestError, match="no such project"):
        await beginnings.of("the same", start)
    assert began == 1
    with pytest.raises(InvalidRequestError):
        await beginnings.of("the same", start)
    assert began == 2, "told once, it is tried anew"

    free.clear()
    others = asyncio.all_tasks()
    waiting = asyncio.create_task(Beginnings(patience_seconds=60).of("the same", start))
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        while began < 3:
            await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert not asyncio.all_tasks() - others, "nothing goes on"


def test_patience_is_what_is_left_of_the_call() -> None:
    with patience.keeping(1.0):
        assert patience.left(2.0) == 2.0
    with patience.at_most(1.0):
        assert 0.9 < patience.left(2.0) <= 1.0
        with patience.keeping(0.5):
            assert 0.4 < patience.left(2.0) <= 0.5
            assert patience.left(0.3) == 0.3
        with patience.at_most(10.0):
            assert patience.left(2.0) <= 1.0, "a bound around it holds"
        with patience.at_most(0.0):
            assert 0 < patience.left(2.0) <= 0.1
        with patience.as_long_as_it_takes():
            assert patience.left(2.0) == 2.0
    assert patience.left(2.0) == 2.0
