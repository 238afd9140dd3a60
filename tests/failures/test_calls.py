"""Calls that end badly: what only a person can mend pauses with the fix in words, all else keeps its work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import psutil
import pytest

from overnight.demo.reply import HttpError, Reply, Say, Text, Usage
from overnight.demo.script import Request, Scenario
from tests.failures.conftest import MOST_TURNS, Installation
from tests.failures.misbehaviour import BOTH_FILES, Failing
from tests.sessions.plays import RIGHT, TEST, by_iteration, play, shell, write
from workflows.contracts.messages import RaiseLimits
from workflows.contracts.state import Status

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

TOO_LONG = HttpError(status=400, message="prompt is too long: 1000001 tokens > 1000000 maximum")
NO_CREDIT = HttpError(status=400, message="Your credit balance is too low to access the Anthropic API.")


@dataclass(frozen=True)
class Mended:
    """A failure that a person mends."""

    failing: Failing
    requests: int
    """The most that Claude Code makes before it gives up."""
    reason: str


MENDED: dict[str, Mended] = {
    "bad-key": Mended(
        Failing(HttpError(status=401, message="invalid x-api-key")),
        3,
        "engine_auth: the model refused the credential; log in again or set a valid key",
    ),
    "forbidden": Mended(
        Failing(HttpError(status=403, message="no access"), phase="plan", turn=0),
        1,
        "engine_auth: the model refused the credential; log in again or set a valid key",
    ),
    "no-model": Mended(
        Failing(HttpError(status=404, message="model: claude-opus-5-5"), phase="plan", turn=0),
        2,
        "engine_auth: the model does not exist for this credential; start a session with another --model",
    ),
    "no-credit": Mended(Failing(NO_CREDIT), 1, "engine_auth: the account has no credit left; add credit, then resume"),
    "no-answer": Mended(
        Failing(Say(Text("I think so.")), phase="plan", turn=0), 6, "plan: 3 attempts brought no answer (no_answer: "
    ),
    "too-long-to-plan": Mended(
        Failing(TOO_LONG, phase="plan", turn=0), 3, "plan: 3 attempts brought no answer (prompt_too_long: "
    ),
}


class OnceTooLong(Scenario):
    """A conversation that grows too long and cannot be summed up; the next one does not."""

    def __init__(self) -> None:
        super().__init__([])
        self.begun = 0

    def reply(self, request: Request) -> Say | HttpError:
        if request.phase == "execute":
            self.begun += request.turn == 0 and not request.is_compaction
            if self.begun == 1 and (request.turn or request.is_compaction):
                return TOO_LONG
        said = play(by_iteration([write("begun.txt", "begun"), *BOTH_FILES])).reply(request)
        assert isinstance(said, Say | HttpError)
        return said


REFUSES = Say(Text("I will not."), stop_reason="refusal")
GOES_ON_AND_ON = Say(Text("and"), stop_reason="max_tokens")
NO_END: list[Reply] = [write("greet.py", RIGHT), *[shell(f"echo {n}") for n in range(20)]]
GOES_ON: dict[str, tuple[Scenario, str, int]] = {
    "refused": (play(by_iteration([REFUSES], BOTH_FILES)), "execute: refused: ", 2),
    "denied": (
        play(by_iteration([shell("rm -rf /"), Text("Done.")], BOTH_FILES)),
        "execute: denied: 1 tool calls were denied and nothing was done",
        2,
    ),
    "max-turns": (
        play(by_iteration(NO_END, [write("test_greet.py", TEST), Text("Done.")])),
        f"execute: max_turns: Reached maximum number of turns ({MOST_TURNS})",
        2,
    ),
    "max-tokens": (
        play(by_iteration([Say(Text("and"), stop_reason="max_tokens")], BOTH_FILES)),
        "execute: crashed: ",
        2,
    ),
    "too-long-at-first": (Failing(TOO_LONG, turn=0, times=1), "execute: prompt_too_long: ", 1),
    "too-long-later": (OnceTooLong(), "execute: prompt_too_long: ", 1),
}
"""What fails, the event that tells it, and the iteration in which the session succeeds."""
KILLED = "killed"
SPENT = "spent"
SLEEP = "import time; time.sleep(601)"


@pytest.fixture(scope="module")
async def started(shop: Installation) -> None:
    """All sessions of this module, at once."""
    check = "test -e test_greet.py && python3 -m unittest discover"
    long: list[Reply] = [
        write("greet.py", RIGHT),
        shell(f"python3 -c '{SLEEP}'", timeout=900_000),
        write("test_greet.py", TEST),
        Text("Done."),
    ]
    killed = play(by_iteration(long))
    await shop.start(killed, session_id=KILLED, validation_command=check)
    for name, (scenario, _, _) in GOES_ON.items():
        await shop.start(scenario, session_id=name, validation_command=check)
    for name, one in MENDED.items():
        await shop.start(one.failing, session_id=name)
    costly = Usage(input_tokens=10_000, output_tokens=100)
    spends = [Say(write("greet.py", RIGHT), usage=costly), *[Say(shell("true"), usage=costly)] * 3]
    await shop.start(
        play(by_iteration(spends, BOTH_FILES)), session_id=SPENT, max_cost_usd=0.06, validation_command=check
    )


async def test_claude_code_is_killed(shop: Installation, started: None) -> None:
    del started
    while not (working := _sleepers()):
        await asyncio.sleep(0.05)
    for process in working[0].parents():
        if process.name() == "claude" or "/claude " in " ".join(process.cmdline()[:1]) + " ":
            process.kill()
            break
    else:
        pytest.fail(f"no Claude Code above {working[0]}")
    done = await shop.until(KILLED, lambda s: s.status.is_final)
    assert (done.status, done.iteration) == (Status.COMPLETED, 1), done.reason
    said = await shop.told(KILLED)
    assert any(text.startswith("Claude Code died and its conversation went on: ") for text in said), said
    assert any("2 files changed" in text for text in said), "its work was lost"
    assert not _sleepers()
    assert done.cost_usd == pytest.approx(shop.billed(KILLED), abs=1e-6)


def _sleepers() -> list[psutil.Process]:
    """The command that runs when Claude Code is killed."""
    found: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[-1:] == [SLEEP] and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("name", GOES_ON)
async def test_a_failed_call_is_recorded_and_the_session_goes_on(shop: Installation, started: None, name: str) -> None:
    del started
    done = await shop.end(name)
    _, event, iterations = GOES_ON[name]
    said = await shop.told(name)
    assert done.status is Status.COMPLETED, f"{done.reason}\n{said}"
    assert done.iteration == iterations, said
    assert any(text.startswith(event) for text in said), said
    assert done.errors == 1
    assert done.error_log[0].phase == "execute"
    assert done.cost_usd == pytest.approx(shop.billed(name), abs=1e-6)


async def test_the_turns_of_a_call_are_bounded_and_its_work_is_kept(shop: Installation, started: None) -> None:
    del started
    await shop.end("max-turns")
    assert len([r for r in shop.asked("max-turns", "execute") if r.iteration == 1]) == MOST_TURNS
    assert any(text.startswith("#1 write the greeter: 1 file changed") for text in await shop.told("max-turns"))


async def test_a_fresh_context_gets_the_goal_and_finds_the_work(shop: Installation, started: None) -> None:
    del started
    await shop.end("too-long-later")
    first, *_, again = [r for r in shop.asked("too-long-later", "execute") if r.turn == 0 and not r.is_compaction]
    assert again.prompt == first.prompt
    assert "/workspace/begun.txt" not in again.text


@pytest.mark.parametrize("name", MENDED)
async def test_what_a_person_must_mend_pauses_with_the_fix(shop: Installation, started: None, name: str) -> None:
    del started
    one = MENDED[name]
    paused = await shop.end(name)
    assert paused.status is Status.PAUSED, paused.reason
    assert paused.reason.startswith(one.reason)
    assert paused.next.startswith(f"Resume it (`overnight resume {name}`)")
    failing = shop.asked(name, one.failing.phase)[one.failing.turn :]
    assert 1 <= len(failing) <= one.requests
    one.failing.mend()
    await shop.resume(name)
    done = await shop.until(name, lambda s: s.status.is_final)
    assert (done.status, done.iteration) == (Status.COMPLETED, 1), done.reason
    assert done.cost_usd == pytest.approx(shop.billed(name), abs=1e-6)


async def test_a_call_that_spends_what_is_left_pauses_with_its_work_kept(shop: Installation, started: None) -> None:
    del started
    paused = await shop.end(SPENT)
    assert paused.status is Status.PAUSED
    assert paused.reason.startswith("limit: cost: ")
    assert 0.06 <= paused.cost_usd <= 0.06 + 0.042, "it overshoots by one response at most"
    assert paused.cost_usd == pytest.approx(shop.billed(SPENT), abs=1e-6)
    assert any(text.startswith("#1 write the greeter: 1 file changed") for text in await shop.told(SPENT))
    assert paused.test_results, "what was bought is not looked at"
    await shop.sessions.raise_limits(SPENT, RaiseLimits(max_cost_usd=5))
    done = await shop.until(SPENT, lambda s: s.status.is_final)
    assert done.status is Status.COMPLETED, done.reason
