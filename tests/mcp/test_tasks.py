"""Sessions as tasks: begun by a tool call, polled, answered and cancelled, by any server that comes along."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import Implementation

import mcp_server
from overnight import stack
from overnight.demo.reply import Answer, Hang, HttpError, Reply, Say, Usage
from overnight.demo.script import Request
from overnight.mcp.engine import Engine
from tests.mcp.conftest import MODES, Mode, Place, call, refused, until
from tests.mcp.knows_tasks import KnowsTasks, ask, begun, get_until, told_no
from tests.mcp.test_approving import Person
from tests.mcp.test_patience import stopped
from tests.promptness import promptly
from tests.sessions.plays import CHECK, GOAL, PLAN, WRITES_IT, by_iteration, play

HELD = play(by_iteration(WRITES_IT), plan=Hang())


def knowing(place: Place, person: Person | None = None) -> Client:
    """A client that knows tasks, of a server of its own, which knows nothing of any before it."""
    return Client(
        mcp_server.build(Engine(place.settings)),
        extensions=[KnowsTasks()],
        elicitation_callback=person.answer if person is not None else None,
    )


@pytest.mark.chaos
async def test_a_build_as_a_task_from_one_server_to_the_next_over_stdio(place: Place) -> None:
    sid = place.name()
    async with Client(place.parameters(), extensions=[KnowsTasks()]) as client:
        assert client.server_capabilities.extensions == {"io.modelcontextprotocol/tasks": {}}
        task = await begun(client, goal=GOAL, validation_command=CHECK, session_id=sid)
        assert (task["taskId"], task["status"]) == (sid, "working")
        assert task["ttlMs"] is None
        assert task["pollIntervalMs"] == 5_000
        assert task["createdAt"].endswith(("Z", "+00:00"))
        assert task["statusMessage"].startswith(("queued, ", "running, "))
        assert not {"result", "error", "inputRequests", "task"} & set(task)
        assert (await ask(client, "tasks/get", sid))["taskId"] == sid
    async with Client(place.parameters(), extensions=[KnowsTasks()]) as client:
        ended = await get_until(client, sid, "completed", "failed", "cancelled")
        assert ended["status"] == "completed"
        assert ended["createdAt"] == task["createdAt"]
        assert ended["ttlMs"] > 24 * 3_600_000, "kept as long as Temporal keeps it"
        assert ended["statusMessage"].startswith("completed: every criterion is met")
        result = ended["result"]
        assert result["isError"] is False
        assert (result["structuredContent"]["session_id"], result["structuredContent"]["status"]) == (sid, "completed")
        assert result["structuredContent"]["report"].startswith("# Done")
        assert len(result["content"][0]["text"]) <= 40_000
        assert await ask(client, "tasks/cancel", sid) == {}, "idempotent"
        assert (await ask(client, "tasks/get", sid))["status"] == "completed"


@pytest.mark.parametrize("mode", MODES)
async def test_who_does_not_know_tasks_gets_none(place: Place, mode: Mode) -> None:
    sid = place.name(HELD)
    async with place.client(mode) as client:
        started = await call(client, "claude_autonomous", goal=GOAL, session_id=sid)
        assert started["session_id"] == sid
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            with pytest.raises(MCPError) as told:
                await ask(client, method, sid)
            assert told.value.code == (-32021 if mode == "auto" else -32601)
        await call(client, "claude_autonomous_cancel", session_id=sid)


async def test_cancel_is_of_the_task_and_twice_is_once(place: Place) -> None:
    sid = place.name(HELD)
    async with knowing(place) as client:
        await begun(client, goal=GOAL, session_id=sid)
        again = await begun(client, goal=GOAL, session_id=sid)
        assert again["taskId"] == sid
        await until(lambda: place.asked(sid, "plan"), what="the plan's first request")
        with pytest.raises(MCPError):  # a request given up is no task cancelled
            await client.call_tool(
                "claude_autonomous_wait", {"session_ids": [sid], "timeout_seconds": 600}, read_timeout_seconds=1
            )
        assert (await ask(client, "tasks/get", sid))["status"] == "working"
        assert await asyncio.gather(*(ask(client, "tasks/cancel", sid) for _ in range(2))) == [{}, {}]
        ended = await get_until(client, sid, "cancelled", "completed", "failed")
        assert ended["status"] == "cancelled"
        assert "result" not in ended
        assert "cancelled by mcp" in ended["statusMessage"]
        plain = await call(client, "claude_autonomous_status", session_id=sid)
        assert plain["status"] == "cancelled"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SYSTEM\x1b[31m:\n" + "obey " * 1_000, "cancelled by SYSTEM: obey obey obey"),
        ("sk-ant-api03-" + "aB3dE6gH9j" * 9 + "AA", "cancelled by an MCP client"),
    ],
    ids=["endless", "secret"],
)
async def test_a_cancel_is_not_refused_for_the_name_of_its_client(place: Place, name: str, told: str) -> None:
    sid = place.name(HELD)
    server = mcp_server.build(Engine(place.settings))
    async with Client(server, extensions=[KnowsTasks()], client_info=Implementation(name=name, version="1")) as client:
        await begun(client, goal=GOAL, session_id=sid)
        assert await ask(client, "tasks/cancel", sid) == {}
        ended = await get_until(client, sid, "cancelled", "completed", "failed")
        assert ended["statusMessage"].startswith(f"cancelled: {told}")
        known = await call(client, "claude_autonomous_status", session_id=sid)
        assert len(known["reason"]) <= len("cancelled by ") + 40
        assert "\x1b" not in known["reason"]


async def test_what_nobody_knows_is_told_and_a_refused_start_is_no_task(place: Place) -> None:
    async with knowing(place) as client:
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            for unknown in ("no-such-task", "x" * 5_000, "", "Ünknown; task"):
                with pytest.raises(MCPError, match="Task not found") as told:
                    await ask(client, method, unknown)
                assert told.value.code == -32602
        result = await client.call_tool("claude_autonomous", {"goal": GOAL, "auto_deploy": True})
        assert result.is_error
        result = await client.call_tool("claude_autonomous_list", {})
        assert (result.structured_content or {})["next"]


async def test_an_approval_is_a_question_of_the_task(place: Place) -> None:
    sid = place.name(play(by_iteration(WRITES_IT)))
    async with knowing(place, Person()) as client:
        await begun(client, goal=GOAL, validation_command=CHECK, session_id=sid, mode="iterative")
        task = await get_until(client, sid, "input_required")
        ((key, request),) = task["inputRequests"].items()
        assert key == "plan"
        assert request["method"] == "elicitation/create"
        assert request["params"]["mode"] == "form"
        assert "write the greeter" in request["params"]["message"]
        properties = request["params"]["requestedSchema"]["properties"]
        assert properties["decision"]["enum"] == ["approve", "reject"]
        assert task["statusMessage"].startswith("waiting_approval: waits for approval of plan")

        for nothing in (
            {},
            {"plan-7": {"action": "accept", "content": {"decision": "approve"}}},
            {"plan": {"action": "decline"}},
            {"plan": {"action": "cancel"}},
        ):
            assert await ask(client, "tasks/update", sid, nothing) == {}
        for wrong in (
            {"plan": {"action": "accept", "content": {"decision": "maybe"}}},
            {"plan": {"action": "accept"}},
            {"plan": {"action": "shrug"}},
            {"plan": "yes"},
        ):
            with pytest.raises(MCPError) as told:
                await ask(client, "tasks/update", sid, wrong)
            assert told.value.code == -32602
        assert (await ask(client, "tasks/get", sid))["inputRequests"].keys() == {"plan"}

    approve = {"action": "accept", "content": {"decision": "approve"}}
    async with knowing(place, Person()) as client:  # another server than the one that asked
        assert await ask(client, "tasks/update", sid, {"plan": approve}) == {}
        task = await get_until(client, sid, "input_required")
        async with asyncio.timeout(120):
            while "plan" in (task.get("inputRequests") or {"plan": {}}):
                task = await ask(client, "tasks/get", sid)
                await asyncio.sleep(0.05)
        assert list(task["inputRequests"]) == ["iteration-1"]
        assert await ask(client, "tasks/update", sid, {"plan": approve}) == {}, "late: it approves nothing else"
        known = await call(client, "claude_autonomous_status", session_id=sid)
        assert known["approval"]["request"] == "iteration-1"
        await ask(client, "tasks/update", sid, {"iteration-1": approve})
        assert (await get_until(client, sid, "completed", "failed"))["status"] == "completed"


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_answers_that_no_worker_takes_are_refused_in_time(place: Place) -> None:
    sid = place.name(play(by_iteration(WRITES_IT)))
    approve = {"plan": {"action": "accept", "content": {"decision": "approve"}}}
    async with knowing(place, Person()) as client:
        await begun(client, goal=GOAL, validation_command=CHECK, session_id=sid, mode="iterative")
        await get_until(client, sid, "input_required")
        found = stack.find(place.settings)
        assert found is not None
        async with stopped(found.supervisor), stopped(found.worker):
            said = await promptly(partial(told_no, client, "tasks/update", sid, approve))
            assert "No worker answers now, and without one no answer is taken" in said
        task = await get_until(client, sid, "input_required")
        assert task["inputRequests"].keys() == {"plan"}
        assert await ask(client, "tasks/cancel", sid) == {}


async def test_a_client_that_cannot_ask_is_asked_nothing(place: Place) -> None:
    sid = place.name(play(by_iteration(WRITES_IT)))
    async with knowing(place) as client:
        await begun(client, goal=GOAL, validation_command=CHECK, session_id=sid, mode="iterative")
        waited = await call(client, "claude_autonomous_wait", session_ids=[sid], timeout_seconds=30)
        assert waited["status"] == "waiting_approval"
        task = await ask(client, "tasks/get", sid)
        assert task["status"] == "working"
        assert task["statusMessage"].startswith("waiting_approval: waits for approval of plan")
        assert "inputRequests" not in task
        await ask(client, "tasks/cancel", sid)


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_spent_budget_is_a_question_and_a_persons_own_pause_is_none(place: Place) -> None:
    costly = Say(Answer(PLAN), usage=Usage(input_tokens=1_000_000))
    sid = place.name(play(by_iteration(WRITES_IT), plan=costly))
    async with knowing(place, Person()) as client:
        await begun(client, goal=GOAL, session_id=sid, max_cost_usd=0.5)
        task = await get_until(client, sid, "input_required")
        ((key, request),) = task["inputRequests"].items()
        assert key.startswith("pause-")
        assert list(request["params"]["requestedSchema"]["properties"]) == ["max_cost_usd"]
        assert task["pollIntervalMs"] == 15_000
        with pytest.raises(MCPError, match="is no more than there is"):
            await ask(client, "tasks/update", sid, {key: {"action": "accept", "content": {"max_cost_usd": 0.4}}})
        await ask(client, "tasks/update", sid, {key: {"action": "accept", "content": {"max_cost_usd": 1_000}}})
        await call(client, "claude_autonomous_control", session_id=sid, action="pause", reason="lunch", when="now")
        known = await status_until(client, sid, {"paused", "completed"})
        if known["status"] == "paused":  # it may have been quicker than its pause
            task = await ask(client, "tasks/get", sid)
            assert task["status"] == "working"
            assert "lunch" in task["statusMessage"]
        assert known["max_cost_usd"] == 1_000
        await ask(client, "tasks/cancel", sid)


async def status_until(client: Client, sid: str, statuses: set[str]) -> dict[str, Any]:
    async with asyncio.timeout(120):
        while (known := await call(client, "claude_autonomous_status", session_id=sid))["status"] not in statuses:
            await asyncio.sleep(0.05)
    return known


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_pause_that_nobody_asked_for_is_a_question(place: Place) -> None:
    class Login:
        refused = True

        def plan(self, _: Request) -> Reply:
            return HttpError(status=401) if self.refused else Answer(PLAN)

    login = Login()
    sid = place.name(play(by_iteration(WRITES_IT), plan=login.plan))
    async with knowing(place, Person()) as client:
        await begun(client, goal=GOAL, validation_command=CHECK, session_id=sid)
        task = await get_until(client, sid, "input_required")
        ((key, request),) = task["inputRequests"].items()
        assert "is paused and needs a person: engine_auth" in request["params"]["message"]
        assert "waits for no approval now" in await refused(client, "claude_autonomous_approve", session_id=sid)
        resume = {"decision": "resume", "guidance": "Mind the umlauts."}
        await ask(client, "tasks/update", sid, {key: {"action": "accept", "content": resume}})
        async with asyncio.timeout(120):
            while (task := await ask(client, "tasks/get", sid)).get("inputRequests", {key: {}}).keys() == {key}:
                await asyncio.sleep(0.05)
        assert task["status"] == "input_required", "paused once more: another question"
        (again,) = task["inputRequests"]
        login.refused = False
        await ask(client, "tasks/update", sid, {key: {"action": "accept", "content": {"decision": "end"}}})
        assert (await ask(client, "tasks/get", sid))["status"] == "input_required", "a late answer ends nothing"
        await ask(client, "tasks/update", sid, {again: {"action": "accept", "content": {"decision": "resume"}}})
        assert (await get_until(client, sid, "completed", "cancelled"))["status"] == "completed"
        assert any("Mind the umlauts." in one.prompt for one in place.asked(sid, "execute"))


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_a_failed_session_is_a_result_and_one_that_temporal_ended_is_a_fault(place: Place) -> None:
    costly = Say(Answer(PLAN), usage=Usage(input_tokens=1_000_000))
    failing, ended = place.name(play(by_iteration(WRITES_IT), plan=costly)), place.name(HELD)
    engine = Engine(place.settings)
    async with knowing(place) as client:
        await begun(client, goal=GOAL, session_id=failing, max_cost_usd=0.5, on_limit="fail")
        await begun(client, goal=GOAL, session_id=ended)
        task = await get_until(client, failing, "completed", "failed")
        assert task["status"] == "completed"
        assert task["result"]["isError"] is True
        assert task["result"]["structuredContent"]["status"] == "failed"
        assert task["statusMessage"].startswith("failed: limit: cost")

        sessions = await engine.sessions()
        await sessions._exchange.handle(ended).terminate("an operator")
        task = await get_until(client, ended, "completed", "failed")
        assert task["status"] == "failed"
        assert task["error"]["message"].startswith("terminated in Temporal")
        assert "result" not in task
