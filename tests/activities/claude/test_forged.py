"""What the agent's own programs say on Claude Code's pipe: the outcome rests on what the gateway saw."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from claude_agent_sdk import RateLimitEvent, RateLimitInfo, ResultMessage

from activities.claude.lease import Failure, Lease
from activities.claude.outcome import LONGEST_CLAIMED_RESET, claimed_limit, classify
from overnight.demo.reply import HttpError, Reply, Text
from overnight.demo.script import Request, Scenario
from tests.activities.claude.conftest import Bench
from tests.activities.claude.service import lease
from tests.escape.attacker import forge
from tests.sessions.plays import shell, write
from workflows.contracts.outcome import Outcome

FORGE = Path(forge.__file__).read_text()
CLAIMS = ("limit", "credential", "model", "credit", "overload", "offline", "budget", "conversation")
ASK_FOR_ANOTHER_MODEL = """
import json, os, urllib.request
asked = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", headers={
    "x-api-key": os.environ["ANTHROPIC_API_KEY"], "content-type": "application/json"},
    data=json.dumps({"model": "no-such-model", "max_tokens": 1, "messages": []}).encode())
try:
    urllib.request.urlopen(asked)
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("what", CLAIMS)
async def test_a_claim_that_the_gateway_cannot_confirm_is_a_failed_attempt(bench: Bench, what: str) -> None:
    told = await bench.run(
        Scenario({"execute": [write("forge.py", FORGE), shell(f"python3 forge.py {what}"), Text("Done.")]})
    )
    assert told.outcome is Outcome.CRASHED, told
    assert told.resets_at is None
    if what != "conversation":
        assert "Claude Code reported" in told.detail
        assert "the gateway saw no such answer" in told.detail
    assert told.usage.cost_usd > 0


@pytest.mark.parametrize(("status", "what"), [(404, "model"), (403, "credential")])
async def test_a_refusal_that_the_agent_brought_about_itself_convinces_nobody(
    bench: Bench, status: int, what: str
) -> None:
    replies: list[Reply] = [
        write("forge.py", FORGE),
        write("ask.py", ASK_FOR_ANOTHER_MODEL),
        shell(f"python3 ask.py; python3 forge.py {what}"),
        Text("Done."),
    ]

    def reply(request: Request) -> Reply:
        if request.model == "no-such-model":
            return HttpError(status=status)
        return replies[min(request.turn, len(replies) - 1)]

    told = await bench.run(Scenario([], default=reply))
    assert any(r.model == "no-such-model" for r in bench.model.requests)
    assert told.outcome is Outcome.CRASHED, told


async def test_a_limit_in_the_middle_of_a_call_is_believed_and_told_in_the_service_s_words(bench: Bench) -> None:
    limit = HttpError(status=429, message="come back later", headers={"retry-after": "3600"})
    told = await bench.run(Scenario({"execute": [shell("true"), limit]}))
    assert told.outcome is Outcome.USAGE_LIMIT
    assert told.resets_at is not None
    assert "come back later" in told.detail


async def test_a_credential_that_ends_in_the_middle_of_a_call_is_believed(bench: Bench) -> None:
    told = await bench.run(Scenario({"execute": [shell("true"), HttpError(status=401, message="expired")]}))
    assert (told.outcome, told.detail) == (Outcome.AUTH, "HTTP 401: expired")


async def test_an_answer_after_a_failure_clears_it(bench: Bench) -> None:
    """The service recovered: what the agent says of it then is forged."""
    failed: list[Request] = []

    def reply(request: Request) -> Reply:
        if request.turn == 1 and not failed:
            failed.append(request)
            return HttpError(status=529)
        plays: list[Reply] = [write("forge.py", FORGE), shell("python3 forge.py overload"), Text("Done.")]
        return plays[min(request.turn, 2)]

    told = await bench.run(Scenario({"execute": reply}))
    assert failed
    assert told.outcome is Outcome.CRASHED, told


# Where the gateway carries nothing


def result(**more: object) -> ResultMessage:
    given = {"subtype": "success", "duration_ms": 1, "duration_api_ms": 1, "is_error": True, "num_turns": 1}
    return ResultMessage(**{**given, "session_id": "s", **more})  # type: ignore[arg-type]


def says(held: Lease, direct: Failure | None, **more: object) -> Outcome:
    return classify(result(**more), held, answer_owed=False, tools_used=1, direct=direct)[0]


@pytest.mark.parametrize(
    ("claim", "outcome"),
    [
        ({"api_error_status": 401}, Outcome.AUTH),
        ({"api_error_status": 404}, Outcome.UNKNOWN_MODEL),
        ({"api_error_status": 429}, Outcome.UNAVAILABLE),
        ({"api_error_status": 529}, Outcome.UNAVAILABLE),
        ({"api_error_status": 400, "result": "Credit balance is too low"}, Outcome.CREDIT),
        ({"terminal_reason": "prompt_too_long", "api_error_status": 400}, Outcome.PROMPT_TOO_LONG),
        ({"subtype": "error_max_budget_usd"}, Outcome.MAX_COST),
    ],
)
def test_claude_code_is_the_only_witness_of_a_direct_call(claim: dict[str, object], outcome: Outcome) -> None:
    assert says(lease(), Failure(None), **claim) is outcome
    held = lease()
    held.answered = True
    assert says(held, None, **claim) is Outcome.CRASHED


@pytest.mark.parametrize("resets", [4_000_000_000, 10**30, -(10**30)])
def test_a_claimed_reset_is_a_few_hours_away_at_most(resets: int) -> None:
    info = RateLimitInfo(status="rejected", resets_at=resets)
    claimed = claimed_limit(RateLimitEvent(rate_limit_info=info, uuid="u", session_id="s"))
    assert claimed is not None
    assert claimed.resets_at is None or claimed.resets_at <= datetime.now(UTC) + LONGEST_CLAIMED_RESET
    assert says(lease(), claimed, api_error_status=429) is Outcome.USAGE_LIMIT


def test_a_claimed_limit_that_rejects_nothing_is_none() -> None:
    info = RateLimitInfo(status="allowed_warning", resets_at=4_000_000_000)
    assert claimed_limit(RateLimitEvent(rate_limit_info=info, uuid="u", session_id="s")) is None
