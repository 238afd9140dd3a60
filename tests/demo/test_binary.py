"""The contract between the scripted model and the real Claude Code binary."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from claude_agent_sdk import ClaudeSDKClient, StreamEvent

from overnight.demo.reply import Answer, Cut, Hang, HttpError, Reply, Say, Text, ToolUse, Usage
from overnight.demo.script import NUDGE, Request, Scenario, When
from overnight.demo.server import ScriptedModel
from tests.demo.claude import MODEL, ask, ask_again, options
from tests.demo.prices import PRICES

SCHEMA = {"type": "object", "properties": {"verdict": {"enum": ["yes", "no"]}}, "required": ["verdict"]}
CREDIT = "Your credit balance is too low to access the Anthropic API."

# A fault with what the result tells: API status, words, and how many requests it took without retries.
FAULTS: dict[str, tuple[HttpError | Cut, int | None, str, int]] = {
    "server": (HttpError(status=500), 500, "API Error: 500", 1),
    "html": (HttpError(status=502, body="<html>bad gateway</html>"), 502, "502 Bad Gateway", 1),
    "overloaded": (HttpError(status=529), 529, "API Error: 529", 1),
    "limit": (HttpError(status=429, headers={"retry-after": "1"}), 429, "Request rejected (429)", 1),
    "key": (HttpError(status=401, message="invalid x-api-key"), 401, "Invalid API key", 1),
    "forbidden": (HttpError(status=403), 403, "Failed to authenticate", 1),
    "credit": (HttpError(status=400, message=CREDIT), 400, "Credit balance is too low", 1),
    "model": (HttpError(status=404), 404, "issue with the selected model", 2),
    "cut before headers": (Cut(), None, "Connection dropped", 1),
    "cut after headers": (Cut(after="headers"), None, "Connection to the API was lost", 2),
    "cut in a sentence": (Cut(after="start"), None, "Connection to the API was lost", 2),
}


async def test_text_and_its_cost_arrive(tmp_path: Path) -> None:
    usage = Usage(input_tokens=1_000, output_tokens=200, cache_read=3_000, cache_write_5m=400, cache_write_1h=500)
    async with ScriptedModel(Scenario(default=Say(Text("Good night."), usage=usage))) as model:
        result = (await ask("Say good night.", options(model.url, tmp_path))).result
        assert (result.subtype, result.is_error, result.result) == ("success", False, "Good night.")
        assert result.usage is not None
        assert result.usage["cache_creation_input_tokens"] == 900
        assert result.total_cost_usd == pytest.approx(model.cost_usd(PRICES))
        (request,) = model.requests
    assert (request.session, request.phase, request.iteration, request.attempt) == ("s-1", "execute", 1, 1)
    assert (request.turn, request.prompt, request.model) == (0, "Say good night.", MODEL)
    assert request.cwd == str(tmp_path)


async def test_tools_run_and_their_results_come_back(tmp_path: Path) -> None:
    def script(request: Request) -> Reply:
        match request.turn:
            case 0:
                write = {"file_path": f"{request.cwd}/poem.txt", "content": "night\n"}
                return Say(
                    Text("Two calls."), ToolUse("Write", write), ToolUse("Bash", {"command": "echo owl; exit 3"})
                )
            case _:
                return Text(" | ".join(f"{result.is_error} {result.text}" for result in request.results))

    async with ScriptedModel(Scenario(default=script)) as model:
        outcome = await ask("Write.", options(model.url, tmp_path, tools=["Bash", "Write"]))
        assert [request.turn for request in model.requests] == [0, 1]
        assert model.billed == Usage() + Usage()
    assert (tmp_path / "poem.txt").read_text() == "night\n"
    assert outcome.result.result is not None
    written, ran = outcome.result.result.split(" | ")
    assert written.startswith("False File created")
    assert ran.startswith("True Exit code 3")


def refused(request: Request) -> bool:
    return any(result.is_error for result in request.results)


async def test_structured_answers(tmp_path: Path, subtests: pytest.Subtests) -> None:
    scenario = Scenario(
        [
            When(says="<good>", then=Answer({"verdict": "yes"})),
            When(says="<corrected>", then=lambda seen: Answer({"verdict": "no" if refused(seen) else "perhaps"})),
            When(says="<nudged>", then=Text("Yes.")),
            When(says=NUDGE, then=lambda seen: Answer({"verdict": "yes"}) if "<nudged>" in seen.text else None),
        ],
    )
    async with (
        ScriptedModel(scenario) as model,
        ClaudeSDKClient(options(model.url, tmp_path, schema=SCHEMA)) as client,
    ):
        for name, verdict, requests in (("good", "yes", 1), ("corrected", "no", 2), ("nudged", "yes", 2)):
            with subtests.test(name):
                model.forget()
                result = (await ask_again(client, f"Judge <{name}>.")).result
                assert (result.structured_output, result.is_error) == ({"verdict": verdict}, False)
                assert len(model.requests) == requests
                assert model.requests[0].schema == SCHEMA


async def test_words_instead_of_a_structured_answer_look_like_success(tmp_path: Path) -> None:
    async with ScriptedModel(Scenario(default=Text('{"verdict": "yes"}'))) as model:
        result = (await ask("Judge.", options(model.url, tmp_path, schema=SCHEMA))).result
        assert [request.is_nudge for request in model.requests] == [False, True]
    assert (result.subtype, result.is_error, result.structured_output) == ("success", False, None)


async def test_faults_without_retries(tmp_path: Path, subtests: pytest.Subtests) -> None:
    scenario = Scenario([When(says=f"<{name}>", then=fault) for name, (fault, *_) in FAULTS.items()])
    async with (
        ScriptedModel(scenario) as model,
        ClaudeSDKClient(options(model.url, tmp_path)) as client,
    ):
        for name, (_, status, words, requests) in FAULTS.items():
            with subtests.test(name):
                model.forget()
                outcome = await ask_again(client, f"Fail with <{name}>.")
                result = outcome.result
                assert (result.subtype, result.is_error, result.terminal_reason) == ("success", True, "api_error")
                assert result.api_error_status == status
                assert words in (result.result or "")
                assert outcome.retries == []
                assert len(model.requests) == requests
                # What a stream could not finish is asked for once more, as a whole.
                assert [request.stream for request in model.requests] == [True, False][:requests]


async def test_a_cut_after_a_block_is_gone_on_from_or_asked_anew(tmp_path: Path) -> None:
    # Which one is a race inside Claude Code: whether it saw the end of the block before the end of the connection.
    async with ScriptedModel(Scenario(default=Cut(after="block"))) as model:
        result = (await ask("Fail.", options(model.url, tmp_path))).result
        assert (result.subtype, result.is_error, result.terminal_reason) == ("success", True, "api_error")
        assert result.api_error_status is None
        assert "Connection" in (result.result or "")
        assert 2 <= len(model.requests) <= 10
        assert model.requests[0].stream


async def test_which_faults_are_tried_again(tmp_path: Path, subtests: pytest.Subtests) -> None:
    cases: dict[str, tuple[HttpError, list[tuple[int, str]]]] = {
        "soon": (HttpError(status=429, headers={"retry-after": "0"}), [(429, "rate_limit")]),
        "later": (HttpError(status=429, headers={"retry-after": "3600"}), []),
        "key": (HttpError(status=401), [(401, "authentication_failed")]),
        "forbidden": (HttpError(status=403), []),
    }
    scenario = Scenario([When(says=f"<{name}>", then=fault) for name, (fault, _) in cases.items()])
    asked = {"CLAUDE_CODE_MAX_RETRIES": "1"}
    async with (
        ScriptedModel(scenario) as model,
        ClaudeSDKClient(options(model.url, tmp_path, env=asked)) as client,
    ):
        for name, (_, retries) in cases.items():
            with subtests.test(name):
                model.forget()
                outcome = await ask_again(client, f"Fail with <{name}>.")
                assert outcome.result.is_error
                assert [(retry["error_status"], retry["error"]) for retry in outcome.retries] == retries
                assert len(model.requests) == 1 + len(retries)


async def test_a_silent_model_is_given_up(tmp_path: Path) -> None:
    async with ScriptedModel(Scenario(default=Hang())) as model:
        result = (await ask("Anyone?", options(model.url, tmp_path, env={"API_TIMEOUT_MS": "500"}))).result
        assert len(model.requests) == 1
    assert (result.is_error, result.terminal_reason, result.api_error_status) == (True, "api_error", None)
    assert "timed out" in (result.result or "")


async def test_an_interrupted_conversation_goes_on_with_the_same_turn(tmp_path: Path) -> None:
    def script(request: Request) -> Reply:
        match request.turn, "go on" in request.prompt:
            case 0, _:
                return ToolUse("Bash", {"command": "echo one"})
            case 1, False:
                return Hang(after="start")
            case turn, _:
                return Text(f"turn {turn}")

    async with ScriptedModel(Scenario(default=script)) as model:
        asked = options(model.url, tmp_path, tools=["Bash"])
        streaming = replace(asked, include_partial_messages=True, session_id=str(uuid.uuid4()))
        async with ClaudeSDKClient(streaming) as client:
            await client.query("begin")
            async for message in client.receive_response():
                if isinstance(message, StreamEvent) and message.event.get("delta", {}).get("type") == "text_delta":
                    await client.interrupt()
        result = (await ask("go on", replace(asked, resume=streaming.session_id))).result
        assert [request.turn for request in model.requests] == [0, 1, 1]
    assert result.result == "turn 1"


async def test_a_long_conversation_is_compacted_and_goes_on(tmp_path: Path) -> None:
    def script(request: Request) -> Reply:
        if "so far had 1 turn" in request.text or "begin" in request.prompt:
            return Text("fine")
        return HttpError(status=400, message="prompt is too long: 1200000 tokens > 1000000 maximum")

    async with (
        ScriptedModel(Scenario(default=script)) as model,
        ClaudeSDKClient(options(model.url, tmp_path)) as client,
    ):
        await ask_again(client, "begin")
        result = (await ask_again(client, "go on")).result
        assert [request.is_compaction for request in model.requests] == [False, False, True, False]
    assert (result.is_error, result.result) == (False, "fine")
