"""What scripts see of a request, and which script gets to answer."""

from __future__ import annotations

from typing import Any

import pytest

from overnight.demo.reply import Answer, HttpError, Rates, Say, Text, ToolUse, Usage
from overnight.demo.script import COMPACTION, FILLER, INTERRUPTED, NUDGE, Request, Scenario, ToolResult, When

ENVIRONMENT = "# Environment\n - Primary working directory: /work space/a\n - Platform: linux"
MOVED = "# Environment update\n - Primary working directory: /b (was /work space/a)"


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}]}


def request(*messages: dict[str, Any], phase: str = "execute", iteration: int = 2, **body: Any) -> Request:
    headers = {
        "x-overnight-session": "s-7",
        "x-overnight-phase": phase,
        "x-overnight-iteration": str(iteration),
        "x-overnight-attempt": "3",
    }
    return Request(headers, {"model": "m", "messages": list(messages), **body})


def test_headers_are_read_and_have_defaults() -> None:
    seen = request()
    assert (seen.session, seen.phase, seen.iteration, seen.attempt, seen.model) == ("s-7", "execute", 2, 3, "m")
    bare = Request({}, {})
    assert (bare.session, bare.phase, bare.iteration, bare.attempt, bare.turn) == ("", "", 0, 1, 0)


def test_the_prompt_is_the_last_words_of_the_user() -> None:
    reminder = {"type": "text", "text": "<system-reminder>be brief</system-reminder>"}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "no"}], "is_error": True}
    first = {"role": "user", "content": [reminder, {"type": "text", "text": "do it"}]}
    seen = request(
        first, {"role": "system", "content": ENVIRONMENT}, assistant("a"), {"role": "user", "content": [result]}
    )
    assert seen.prompt == "do it"
    assert seen.turn == 1
    assert seen.results == (ToolResult("t", "no", True),)
    assert request(first).results == ()


def test_words_that_claude_code_invents_on_resume_are_no_turn() -> None:
    go, interrupted = {"role": "user", "content": "go"}, {"role": "user", "content": INTERRUPTED}
    assert request(go, assistant(FILLER), go).turn == 0
    assert request(go, assistant("Let me"), interrupted, assistant(FILLER), go).turn == 0
    assert request(go, assistant("Done."), go, assistant("Let me"), {"role": "system", "content": "x"}, go).turn == 2


def test_the_folder_comes_from_the_latest_environment_block() -> None:
    first = {"role": "system", "content": [{"type": "text", "text": ENVIRONMENT}]}
    assert request(first).cwd == "/work space/a"
    assert request(first, {"role": "system", "content": MOVED}).cwd == "/b"
    assert request({"role": "user", "content": ENVIRONMENT}).cwd == "."


def test_tools_and_schema() -> None:
    schema = {"type": "object"}
    seen = request(tools=[{"name": "Read"}, {"name": "StructuredOutput", "input_schema": schema}])
    assert seen.tools == ("Read", "StructuredOutput")
    assert seen.schema == schema
    assert request().schema is None


def test_the_first_rule_that_has_a_reply_wins() -> None:
    scenario = Scenario(
        [
            When(phase="execute", iteration=1, then=Text("first iteration")),
            When(phase="execute", then=lambda seen: Text("deferred") if seen.attempt == 1 else None),
            When(says="magic", then=Text("word")),
        ],
        default=Text("default"),
    )
    user = {"role": "user", "content": "a magic trick"}
    assert scenario.reply(request(user, iteration=1)) == Say(Text("first iteration"))
    assert scenario.reply(request(user)) == Say(Text("word"))
    assert scenario.reply(request(phase="plan")) == Say(Text("default"))


def test_a_sequence_is_played_by_turn_and_its_last_reply_stays() -> None:
    scenario = Scenario({"execute": [Text("0"), Text("1")]})
    for turns, expected in ((0, "0"), (1, "1"), (5, "1")):
        assert scenario.reply(request(*[assistant("x")] * turns)) == Say(Text(expected))


def test_no_reply_is_an_error_that_names_the_request() -> None:
    reply = Scenario().reply(request(phase="judge"))
    assert isinstance(reply, HttpError)
    assert "phase='judge' iteration=2 turn=0" in reply.message


def test_compaction_gets_text_and_the_nudge_is_left_to_the_script() -> None:
    scenario = Scenario({"execute": lambda seen: Answer({"nudged": seen.is_nudge})})
    compaction = scenario.reply(request({"role": "user", "content": COMPACTION + ". Sum up."}))
    assert isinstance(compaction, Say)
    assert isinstance(compaction.blocks[0], Text)
    nudged = scenario.reply(request({"role": "user", "content": NUDGE + " You MUST"}))
    assert nudged == Say(Answer({"nudged": True}))


def test_a_message_stops_for_a_tool_unless_told_otherwise() -> None:
    assert Say(Text("a")).stop_reason == "end_turn"
    assert Say(Text("a"), ToolUse("Read", {})).stop_reason == "tool_use"
    assert Say(Text("a"), stop_reason="max_tokens").stop_reason == "max_tokens"


def test_usage_adds_up_and_costs() -> None:
    usage = Usage(input_tokens=1, output_tokens=2) + Usage(
        input_tokens=1_000_000, output_tokens=0, cache_read=3, cache_write_5m=4, cache_write_1h=5
    )
    assert usage.wire()["cache_creation_input_tokens"] == 9
    rates = Rates(input=1, output=10, cache_read=100, cache_write_5m=1_000, cache_write_1h=10_000)
    assert usage.cost_usd(rates) == pytest.approx(1.054321)
