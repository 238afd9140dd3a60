"""The stack underneath: started on demand, worked with while its worker is away, found again when it moved.

Those that take long are one story on one home, in this order.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial

import pytest
import pytest_asyncio
from temporalio.client import WorkflowQueryFailedError

from overnight import stack
from overnight.demo.reply import Hang
from overnight.exchange import Exchange
from overnight.mcp.engine import Engine
from tests.mcp.conftest import Place, call, kill, refused, text_of, until
from tests.promptness import promptly
from tests.sessions.plays import GOAL, WRITES_IT, by_iteration, play

WAITING = "waits-for-ever"


@pytest_asyncio.fixture(scope="module")
async def begun_place(empty_place: Place) -> Place:
    """The home with its stack up, and a session that waits for ever."""
    empty_place.stage.plays[WAITING] = play(by_iteration(WRITES_IT), plan=Hang())
    await asyncio.to_thread(stack.ensure_up, empty_place.settings, wait_seconds=180)
    async with empty_place.client() as client:
        await call(client, "claude_autonomous", goal=GOAL, session_id=WAITING)
    return empty_place


async def test_a_cold_start_answers_in_time_and_says_so(empty_place: Place) -> None:
    place = empty_place
    place.stage.plays[WAITING] = play(by_iteration(WRITES_IT), plan=Hang())
    assert stack.find(place.settings) is None
    async with place.stdio() as client:
        async with asyncio.timeout(120):
            while True:
                result = await promptly(
                    partial(client.call_tool, "claude_autonomous", {"goal": GOAL, "session_id": WAITING})
                )
                if not result.is_error:
                    break
                assert "call again in" in text_of(result)
                assert f"with session_id='{WAITING}'" in text_of(result)
        assert "it was started for this call and stays up" in (result.structured_content or {})["notice"]
        again = await call(client, "claude_autonomous", goal=GOAL, session_id=WAITING)
        assert "it was started for this call" not in again["notice"], "said once"
    assert stack.find(place.settings) is not None, "the stack ended with its starter"


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_with_the_worker_away_looking_goes_on(begun_place: Place) -> None:
    place = begun_place
    async with place.client() as client:
        assert (await call(client, "claude_autonomous_status", session_id=WAITING))["worker"] == "online"
        found = stack.find(place.settings)
        assert found is not None
        kill(found.supervisor)
        kill(found.worker)
        for engine in (None, Engine(place.settings)):
            async with place.client(engine=engine) as other:
                known = await promptly(
                    partial(call, other, "claude_autonomous_status", session_id=WAITING, detail="full")
                )
                assert (known["worker"], known["status"]) == ("offline", "running")
                assert known["goal"] == GOAL
                assert "overnight up" in known["next"]
        waited = await call(client, "claude_autonomous_wait", session_ids=[WAITING], timeout_seconds=1)
        assert waited["timed_out"] is True
        rows = (await call(client, "claude_autonomous_list"))["sessions"]
        assert [row["session_id"] for row in rows] == [WAITING]
        assert "no worker answers" in (await refused(client, "claude_autonomous_events", session_id=WAITING)).lower()
        assert "worker offline" in (await refused(client, "claude_autonomous_diff", session_id=WAITING)).lower()

        receipt = await call(client, "claude_autonomous_control", session_id=WAITING, action="pause", when="now")
        assert receipt["accepted"] is True
        await until(lambda: up(place), what="the worker, brought back by the message")


async def test_a_worker_that_fails_on_a_session_is_not_called_offline(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.client() as client:
        sid = place.name(play(by_iteration(WRITES_IT), plan=Hang()))
        await call(client, "claude_autonomous", goal=GOAL, session_id=sid)

        async def failing(*_: object) -> None:
            raise WorkflowQueryFailedError("Unable to query workflow due to Workflow Task in failed state.")

        with monkeypatch.context() as patch:
            patch.setattr(Exchange, "_query", failing)
            known = await call(client, "claude_autonomous_status", session_id=sid)
        assert known["worker"] == "online"
        assert "The worker fails on this session" in known["next"]
        await call(client, "claude_autonomous_cancel", session_id=sid)


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_start_that_takes_too_long_goes_on_and_is_found_again(begun_place: Place) -> None:
    place = begun_place
    found = stack.find(place.settings)
    assert found is not None
    for process in (found.supervisor, found.worker, found.server):
        kill(process)
    async with place.client(engine=Engine(place.settings, patience_seconds=0.2)) as client:
        said = await refused(client, "claude_autonomous", goal="Wait.", session_id="too-slow")
        assert "Starting goes on in the background" in said
        assert "session_id='too-slow'" in said
        await until(lambda: up(place), what="the stack")
        async with asyncio.timeout(120):
            while (await client.call_tool("claude_autonomous", {"goal": "Wait.", "session_id": "too-slow"})).is_error:
                await asyncio.sleep(0.05)
        assert (await call(client, "claude_autonomous_status", session_id=WAITING))["goal"] == GOAL
        await call(client, "claude_autonomous_cancel", session_id="too-slow")


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_stack_that_moved_is_found_again(begun_place: Place) -> None:
    place = begun_place
    async with place.client() as client:
        await call(client, "claude_autonomous_status", session_id=WAITING)
        before = stack.find(place.settings)
        await asyncio.to_thread(stack.down, place.settings)
        elsewhere = place.settings.model_copy(update={"port": free_port()})
        after = await asyncio.to_thread(stack.ensure_up, elsewhere, wait_seconds=180)
        assert before is not None
        assert before.address != after.address
        known = await call(client, "claude_autonomous_status", session_id=WAITING)
        assert (known["goal"], known["worker"]) == (GOAL, "online")
        await call(client, "claude_autonomous_cancel", session_id=WAITING)


def up(place: Place) -> bool:
    found = stack.find(place.settings)
    return found is not None and found.up


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
