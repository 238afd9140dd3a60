"""Contract tests with the bundled Claude Code: what the wire shows, and the outcome that we make of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import psutil
import pytest

from overnight.demo.reply import Answer, Cut, Hang, HttpError, Reply, Say, Text, ToolUse, Usage
from overnight.demo.script import Request, Scenario
from tests.activities.claude.conftest import SECRET, Bench
from tests.demo.prices import PRICES
from workflows.contracts.answers import DiagnosisAnswer
from workflows.contracts.outcome import Outcome

ANSWER = {"root_cause": "a", "fix": "b", "category": "c", "confidence": "high"}


def says(*replies: Reply) -> Scenario:
    """These replies, by turn, in whatever phase."""
    return Scenario({"execute": list(replies), "diagnose": list(replies)})


async def test_a_structured_answer(bench: Bench) -> None:
    told = await bench.ask(says(Answer(ANSWER)))
    assert told.outcome is Outcome.COMPLETED
    assert told.answer == DiagnosisAnswer.model_validate(ANSWER)
    request = bench.model.requests[0]
    assert set(request.tools) == {"Read", "Glob", "Grep", "StructuredOutput"}, "a question may only read"
    assert request.model == "claude-opus-5-5"


async def test_the_model_mends_an_answer_that_does_not_fit(bench: Bench) -> None:
    told = await bench.ask(says(Answer({**ANSWER, "confidence": "sure"}), Answer(ANSWER)))
    assert told.outcome is Outcome.COMPLETED


async def test_prose_instead_of_an_answer_is_no_answer(bench: Bench) -> None:
    told = await bench.ask(says(Text('{"root_cause": "a"}'), Text("I said it already.")))
    assert told.outcome is Outcome.NO_ANSWER
    assert told.answer is None


async def test_work_with_tools(bench: Bench) -> None:
    did: list[str] = []
    write = ToolUse("Write", {"file_path": "/workspace/a.txt", "content": "hello"})
    told = await bench.run(
        says(write, ToolUse("Bash", {"command": "cat a.txt"}), Text("Written.")), progress=did.append
    )
    assert told.outcome is Outcome.COMPLETED
    assert told.text == "Written."
    assert (bench.folder / "work" / "a.txt").read_text() == "hello"
    assert bench.model.requests[2].results[0].text == "hello"
    assert did == ["Write /workspace/a.txt", "Bash cat a.txt"]


async def test_what_it_used_is_what_the_model_billed(bench: Bench) -> None:
    used = Usage(input_tokens=1_000, output_tokens=200, cache_read=5_000, cache_write_5m=300, cache_write_1h=70)
    told = await bench.run(says(Say(ToolUse("Bash", {"command": "true"}), usage=used), Say(Text("Done."), usage=used)))
    assert told.usage.responses == 2
    assert told.usage.cost_usd == pytest.approx(bench.model.cost_usd(PRICES), abs=1e-12)
    assert told.usage.estimated_usd == 0
    assert (told.usage.input_tokens, told.usage.output_tokens) == (2_000, 400)


FAULTS: list[tuple[str, Reply, Outcome]] = [
    ("401", HttpError(status=401, message="invalid x-api-key"), Outcome.AUTH),
    ("403", HttpError(status=403), Outcome.AUTH),
    ("404", HttpError(status=404), Outcome.UNKNOWN_MODEL),
    ("413", HttpError(status=413), Outcome.PROMPT_TOO_LONG),
    ("500", HttpError(status=500), Outcome.UNAVAILABLE),
    ("529", HttpError(status=529), Outcome.UNAVAILABLE),
    ("429 short", HttpError(status=429, headers={"retry-after": "1"}), Outcome.UNAVAILABLE),
    ("429 long", HttpError(status=429, headers={"retry-after": "3600"}), Outcome.USAGE_LIMIT),
    (
        "429 unified",
        HttpError(
            status=429,
            headers={
                "anthropic-ratelimit-unified-status": "rejected",
                "anthropic-ratelimit-unified-reset": "4102444800",
            },
        ),
        Outcome.USAGE_LIMIT,
    ),
    ("400 credit", HttpError(status=400, message="Your credit balance is too low"), Outcome.CREDIT),
    ("400 too long", HttpError(status=400, message="prompt is too long: 2 > 1 maximum"), Outcome.PROMPT_TOO_LONG),
    ("400 other", HttpError(status=400, message="something else"), Outcome.CRASHED),
    ("connection cut", Cut(after="request"), Outcome.UNAVAILABLE),
    ("refusal", Say(Text("I will not."), stop_reason="refusal"), Outcome.REFUSED),
]


@pytest.mark.parametrize(("reply", "outcome"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
async def test_every_failure_has_its_outcome(bench: Bench, reply: Reply, outcome: Outcome) -> None:
    told = await bench.ask(Scenario({"diagnose": lambda _request: reply}))
    assert told.outcome is outcome, told.detail
    assert told.detail
    assert SECRET not in told.detail


async def test_a_usage_limit_says_when_it_ends(bench: Bench) -> None:
    told = await bench.ask(says(HttpError(status=429, headers={"retry-after": "3600"})))
    assert told.resets_at is not None
    assert 3_500 < told.resets_at.timestamp() - time.time() < 3_700


async def test_its_time_is_bounded_and_the_call_ends_in_order(bench: Bench) -> None:
    told = await bench.run(says(Hang(after="request")), seconds=2)
    assert told.outcome is Outcome.TIME_LIMIT
    assert told.seconds < 30
    asked = bool(bench.model.requests)  # a busy machine may need longer to start Claude Code
    assert (told.usage.estimated_usd > 0) is asked, "a request that nobody answered is charged as an estimate"


async def test_its_turns_are_bounded(bench: Bench) -> None:
    told = await bench.run(Scenario({"execute": lambda _r: ToolUse("Bash", {"command": "true"})}), max_turns=3)
    assert told.outcome is Outcome.MAX_TURNS
    assert told.usage.responses <= 4


async def test_its_budget_overshoots_by_one_response_at_most(bench: Bench) -> None:
    costly = Say(ToolUse("Bash", {"command": "true"}), usage=Usage(input_tokens=10_000, output_tokens=1_000))
    told = await bench.run(Scenario({"execute": lambda _r: costly}), budget_usd=0.15)
    assert told.outcome is Outcome.MAX_COST
    assert 0.15 <= told.usage.cost_usd <= 0.15 + 0.06


def _sleeps(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # it is over, or a zombie of another test
        return "time.sleep(600)" in " ".join(process.cmdline())
    return False


async def test_a_stop_ends_the_tool_that_runs_and_a_resume_goes_on(bench: Bench) -> None:
    long = ToolUse("Bash", {"command": "touch begun; python3 -c 'import time; time.sleep(600)'"})
    script = says(long, Text("Finished."))
    stop = asyncio.Event()
    conversation = "0f3e5d8a-4b7c-4c1e-9c3e-2f6a7b8c9d0e"
    running = asyncio.create_task(bench.run(script, stop=stop, conversation=conversation))
    while not (bench.folder / "work" / "begun").exists():
        await asyncio.sleep(0.05)
    stop.set()
    told = await running
    assert told.outcome is Outcome.INTERRUPTED
    assert not [p for p in psutil.Process().children(recursive=True) if _sleeps(p)]
    resumed = await bench.run(script, conversation=conversation, resume=True)
    assert resumed.outcome is Outcome.COMPLETED
    assert resumed.text == "Finished."


def _claudes() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.name() == "claude"]


@pytest.mark.chaos
async def test_a_claude_code_that_hangs_is_ended_long_before_a_tool_would_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.claude.runner.IDLE_SECONDS", 3.0)

    def play(request: Request) -> Reply:
        if request.turn == 0:
            return ToolUse("Bash", {"command": "sleep 5"})
        for process in _claudes():
            process.suspend()
        return Text("Finished.")

    told = await bench.run(Scenario({"execute": play}))
    assert told.outcome is Outcome.CRASHED, told
    assert "Claude Code hung" in told.detail
    assert told.usage.responses == 2, "neither a tool that runs nor a request under way is a hang"
    assert _claudes() == []


async def test_resuming_what_is_not_there_is_a_lost_transcript(bench: Bench) -> None:
    told = await bench.run(says(Text("?")), conversation="1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", resume=True)
    assert told.outcome is Outcome.TRANSCRIPT_LOST


async def test_a_broken_binary_is_a_broken_engine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = bench.folder / "claude-that-fails"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setattr("activities.claude.runner.claude_binary", lambda _settings: broken)
    told = await bench.ask(says(Answer(ANSWER)))
    assert told.outcome is Outcome.ENGINE_BROKEN
    assert "no such luck" in told.detail
    monkeypatch.setattr("activities.claude.runner.claude_binary", lambda _settings: bench.folder / "absent")
    told = await bench.ask(says(Answer(ANSWER)))
    assert told.outcome is Outcome.ENGINE_BROKEN
