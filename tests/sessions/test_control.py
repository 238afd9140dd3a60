"""Pause, resume, steer and cancel on a session with the real Claude Code in mid-flight."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import httpx2
import psutil
import pytest

from overnight.demo.reply import Text
from overnight.errors import SessionClosedError, UnknownSessionError
from tests.sessions.conftest import Shop, git
from tests.sessions.plays import HALF_DONE, WRITES_IT, by_iteration, play, shell
from workflows.contracts.state import Status


async def busy(shop: Shop, session_id: str) -> None:
    """Until the agent's long command runs."""
    await shop.until(session_id, lambda s: len(shop.asked(session_id, "execute")) >= 2 and bool(sleepers(session_id)))


def sleepers(session_id: str) -> list[int]:
    """Processes of the session's long command."""
    del session_id
    found: list[int] = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "time.sleep(600)" in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.chaos
async def test_steer_now_interrupts_and_the_same_conversation_goes_on(shop: Shop) -> None:
    session_id = await shop.start(play(by_iteration(HALF_DONE)))
    await busy(shop, session_id)
    told = await shop.sessions.steer(session_id, "Greet in lower case, please.", when="now")
    done = await shop.until(session_id, lambda s: s.status.is_final)
    assert done.status is Status.COMPLETED, done.reason
    assert done.iteration == 1
    item = next(g for g in done.guidance if g.id == told.guidance_id)
    assert (item.state, item.iteration) == ("delivered", 1)
    executes = shop.asked(session_id, "execute")
    resumed = [r for r in executes if "Greet in lower case" in r.prompt]
    assert resumed, "no prompt carried the guidance"
    assert resumed[0].prompt.count("Greet in lower case, please.") == 1
    assert resumed[0].turn >= 2, "it was not the same conversation that went on"
    branch = await shop.sessions.branch(session_id)
    subjects = git(Path(branch.vault), "log", "--format=%s", branch.branch).splitlines()
    assert len(subjects) == 3, "one checkpoint per execute: the interrupted one and the one that finished"


@pytest.mark.chaos
async def test_steering_reaches_the_next_prompt_once(shop: Shop) -> None:
    wrong_first = by_iteration([shell("true"), Text("Nothing yet.")], WRITES_IT)
    session_id = await shop.start(play(wrong_first), success_criteria=["greets politely"])
    await shop.sessions.steer(session_id, "Mind the umlauts.")
    done = await shop.until(session_id, lambda s: s.status.is_final)
    assert done.status is Status.COMPLETED, done.reason
    first = [r for r in shop.asked(session_id, "execute") if r.turn == 0]
    carrying = [r.iteration for r in first if "## New guidance" in r.prompt and "Mind the umlauts." in r.prompt]
    assert len(carrying) == 1
    assert all(r.prompt.count("Mind the umlauts.") <= 1 for r in first)
    assert done.guidance[0].state == "delivered"


@pytest.mark.chaos
async def test_pause_now_stops_spending_and_resume_goes_on(shop: Shop) -> None:
    session_id = await shop.start(play(by_iteration(HALF_DONE)))
    await busy(shop, session_id)
    began = time.monotonic()
    await shop.sessions.pause(session_id, reason="lunch", when="now")
    paused = await shop.until(session_id, lambda s: s.status is Status.PAUSED)
    assert time.monotonic() - began < 8
    assert "lunch" in paused.reason
    assert sleepers(session_id) == []
    asked = len(shop.asked(session_id, "execute"))
    branch = await shop.sessions.branch(session_id)
    assert git(Path(branch.vault), "ls-tree", "--name-only", branch.branch).split() == ["test_greet.py"]
    await shop.sessions.resume(session_id)
    done = await shop.until(session_id, lambda s: s.status.is_final)
    assert done.status is Status.COMPLETED, done.reason
    assert shop.asked(session_id, "execute")[asked].turn >= 2


@pytest.mark.parametrize("how", ["signal", pytest.param("temporal", marks=pytest.mark.chaos)])
async def test_cancel_ends_it_with_the_work_kept_and_the_tree_dead(shop: Shop, how: str) -> None:
    session_id = await shop.start(play(by_iteration(HALF_DONE)))
    await busy(shop, session_id)
    began = time.monotonic()
    if how == "signal":
        await shop.sessions.cancel(session_id, reason="changed my mind")
    else:
        await shop.env.client.get_workflow_handle(session_id).cancel()
    done = await shop.until(session_id, lambda s: s.status.is_final)
    assert time.monotonic() - began < 10
    assert done.status is Status.CANCELLED
    assert sleepers(session_id) == []
    branch = await shop.sessions.branch(session_id)
    assert git(Path(branch.vault), "ls-tree", "--name-only", branch.branch).split() == ["test_greet.py"]
    again = await shop.sessions.cancel(session_id)
    assert again.accepted is False
    with pytest.raises(SessionClosedError):
        await shop.sessions.steer(session_id, "too late")


@pytest.mark.chaos
async def test_a_daemon_of_the_agent_does_not_outlive_its_call(shop: Shop) -> None:
    leave = "os.fork() and os._exit(0)"
    daemon = f"python3 -c 'import os, time; {leave}; os.setsid(); {leave}; time.sleep(600)'"
    session_id = await shop.start(play(by_iteration([shell(daemon), *WRITES_IT])))
    done = await shop.until(session_id, lambda s: s.status.is_final)
    assert done.status is Status.COMPLETED, done.reason
    assert sleepers(session_id) == []


@pytest.mark.chaos
async def test_an_unknown_id_names_the_newest(shop: Shop) -> None:
    known = await shop.start(play(by_iteration(WRITES_IT)))
    await shop.end(known)
    with pytest.raises(UnknownSessionError, match=r"there is no session 'no-such-session'; the newest are: .*test-"):
        await shop.sessions.status("no-such-session")


@pytest.mark.chaos
async def test_the_web_uis_form_works(shop: Shop) -> None:
    """The Web UI posts a signal as JSON payloads to the server's HTTP API; a bare string is guidance."""
    session_id = await shop.start(play(by_iteration(HALF_DONE)))
    await busy(shop, session_id)
    for name, typed in (
        ("steer", '"Speak softly."'),
        ("steer", '{"guidence": "a typo"}'),
        ("pause", '{"when": "now", "reason": "from the form"}'),
    ):
        _post_signal(shop, session_id, name, typed)
    paused = await shop.until(session_id, lambda s: s.status is Status.PAUSED)
    assert "from the form" in paused.reason
    assert [g.text for g in paused.guidance] == ["Speak softly."]
    events = (await shop.sessions.events(session_id)).events
    assert any("not understood" in e.text and "guidence" in e.text for e in events)
    _post_signal(shop, session_id, "resume", None)
    done = await shop.until(session_id, lambda s: s.status.is_final)
    assert done.status is Status.COMPLETED, done.reason


def _post_signal(shop: Shop, session_id: str, name: str, typed: str | None) -> None:
    body: dict[str, object] = {"signalName": name}
    if typed is not None:
        payload = {
            "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
            "data": base64.b64encode(typed.encode()).decode(),
        }
        body["input"] = {"payloads": [payload]}
    address = shop.http_address
    url = f"http://{address}/api/v1/namespaces/default/workflows/{session_id}/signal/{name}"
    answer = httpx2.post(url, json=body, timeout=5)
    assert answer.status_code == 200, answer.text
