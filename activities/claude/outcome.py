"""What the wire shows at the end of a call, as an Outcome. Claude Code's own word ``success`` is not trusted.

Nor is its word about the model's service: what the agent runs can write to the pipe by which Claude Code is heard. What
the service answered is known from the gateway. Only where the gateway carries nothing, on Bedrock and Vertex, is there
no other witness: there Claude Code is believed, and what it can bring about is bounded.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from claude_agent_sdk import RateLimitEvent, ResultMessage

from activities.claude.lease import Failure, Lease
from activities.claude.upstream import moment
from workflows.contracts.outcome import Outcome

_LIMIT_WORDS = ("usage limit", "hit your", "out of extra usage")
_LOST_WORDS = ("No conversation found", "already in use")
LONGEST_CLAIMED_RESET = timedelta(hours=6)
"""A cloud's limits are those of a minute or a day; nobody else can say whether Claude Code was told so."""
_OWN_ERRORS = {"error_max_turns": Outcome.MAX_TURNS, "error_max_structured_output_retries": Outcome.NO_ANSWER}
_PRICE_MARGIN = 0.5
"""Claude Code has prices of its own: what it takes for the whole budget is at least this part of it by ours."""


def classify(
    result: ResultMessage, lease: Lease, *, answer_owed: bool, tools_used: int, direct: Failure | None = None
) -> tuple[Outcome, str]:
    """The outcome of a call that ended with a result message, and its reason in words.

    ``direct`` is what Claude Code says of the service, where the gateway does not carry the call; else None.

    Source of the table: the contract tests in ``tests/activities/claude``, which ask the bundled binary.
    """
    text = (result.result or " ".join(result.errors or [])).strip()
    if lease.refusal == "budget":
        return Outcome.MAX_COST, f"the budget of this call (${lease.budget_usd:.2f}) is spent"
    if result.subtype in _OWN_ERRORS:
        return _OWN_ERRORS[result.subtype], text
    if result.subtype == "error_max_budget_usd":
        spent = direct is not None or lease.usage.cost_usd >= lease.budget_usd * _PRICE_MARGIN
        return (Outcome.MAX_COST, text) if spent else unseen("a spent budget")
    if result.subtype == "error_during_execution":
        return (Outcome.TRANSCRIPT_LOST if is_lost(text, lease) else Outcome.CRASHED), text
    if result.is_error:
        return _claimed(result, direct, text) if direct else _seen(result, lease, text)
    if result.stop_reason == "refusal":
        return Outcome.REFUSED, text or "the model declined"
    if answer_owed and result.structured_output is None:
        return Outcome.NO_ANSWER, "it ended without the structured answer that was asked for"
    denied = result.permission_denials or []
    if denied and tools_used <= len(denied):
        return Outcome.DENIED, f"{len(denied)} tool calls were denied and nothing was done"
    return Outcome.COMPLETED, ""


def claimed_limit(event: RateLimitEvent) -> Failure | None:
    """A usage limit as Claude Code reports it, where nobody else can; its reset at most a few hours from now."""
    info = event.rate_limit_info
    if info.status != "rejected":
        return None
    reset = moment(info.resets_at)
    latest = datetime.now(UTC) + LONGEST_CLAIMED_RESET
    return Failure(429, limited=True, resets_at=min(reset, latest) if reset else None)


def unseen(claim: str) -> tuple[Outcome, str]:
    """A claim about the model's service or the cost that does not fit with what the gateway saw: a failed attempt."""
    return Outcome.CRASHED, f"Claude Code reported {claim[:300]}, but the gateway saw no such answer"


def is_lost(text: str, lease: Lease) -> bool:
    """Whether a conversation could not be resumed. That shows before the model is asked for anything."""
    return not lease.answered and any(words in text for words in _LOST_WORDS)


def _claimed(result: ResultMessage, direct: Failure, text: str) -> tuple[Outcome, str]:
    """An API failure by Claude Code's word."""
    if _is_too_long(result):
        return Outcome.PROMPT_TOO_LONG, text
    if "refusal" in (result.stop_reason or ""):
        return Outcome.REFUSED, text
    return _by_status(replace(direct, status=result.api_error_status, message=text)), text


def _seen(result: ResultMessage, lease: Lease, text: str) -> tuple[Outcome, str]:
    """An API failure by what the gateway saw of it: Claude Code's word only says that it gave up."""
    claim = f"HTTP {result.api_error_status} ({text})" if result.api_error_status else f"an error ({text})"
    if "refusal" in (result.stop_reason or ""):
        return Outcome.REFUSED, text
    failure = lease.failure
    if failure is None:
        # Nothing of the agent's ran yet, and no request came through: the box does not reach the gateway.
        unreached = not lease.answered and not lease.last_error and result.api_error_status is None
        return (Outcome.UNAVAILABLE, text) if unreached else unseen(claim)
    if failure.status in {400, 413} and _is_too_long(result):
        return Outcome.PROMPT_TOO_LONG, text
    if failure.status in {403, 404} and lease.answered:
        # Anything in the box can ask for a model that this credential may not use, and one that it may has answered.
        said = f"the model's service had answered this call before it refused it (HTTP {failure.status})"
        return Outcome.CRASHED, f"{said}: anything in the sandbox could have asked for that"
    return _by_status(failure), _told(failure, text)


def _told(failure: Failure, text: str) -> str:
    """In words: the service's own where it said any, since Claude Code's may be another's."""
    if failure.status is None or not failure.message:
        return failure.message or text
    return f"HTTP {failure.status}: {failure.message}"


def _is_too_long(result: ResultMessage) -> bool:
    return result.terminal_reason == "prompt_too_long" or result.api_error_status == 413


def _by_status(failure: Failure) -> Outcome:
    """An API failure: by status first, since the prose may quote anything."""
    status = failure.status
    if status == 413:
        return Outcome.PROMPT_TOO_LONG
    if status == 429:
        return Outcome.USAGE_LIMIT if failure.limited else Outcome.UNAVAILABLE
    if status in {401, 403}:
        return Outcome.AUTH
    if status == 404:
        return Outcome.UNKNOWN_MODEL
    if status == 400 and failure.limited:
        return Outcome.USAGE_LIMIT
    if status == 400:
        return _bad_request(failure.message.lower())
    if status is None or status >= 500 or status == 408:
        return Outcome.UNAVAILABLE
    return Outcome.CRASHED


def _bad_request(lowered: str) -> Outcome:
    if "credit balance" in lowered:
        return Outcome.CREDIT
    if "too long" in lowered:
        return Outcome.PROMPT_TOO_LONG
    return Outcome.USAGE_LIMIT if any(words in lowered for words in _LIMIT_WORDS) else Outcome.CRASHED
