"""What the wire shows at the end of a call, as an Outcome. Claude Code's own word ``success`` is not trusted."""

from __future__ import annotations

from claude_agent_sdk import ResultMessage

from activities.claude.gateway import Lease
from workflows.contracts.outcome import Outcome

_LIMIT_WORDS = ("usage limit", "hit your", "out of extra usage")


def classify(result: ResultMessage, lease: Lease, *, answer_owed: bool, tools_used: int) -> tuple[Outcome, str]:
    """The outcome of a call that ended with a result message, and its reason in words.

    Source of the table: the contract tests in ``tests/activities/claude``, which ask the bundled binary.
    """
    text = (result.result or " ".join(result.errors or [])).strip()
    if lease.refusal == "budget":
        return Outcome.MAX_COST, f"the budget of this call (${lease.budget_usd:.2f}) is spent"
    if result.subtype == "error_max_turns":
        return Outcome.MAX_TURNS, text
    if result.subtype == "error_max_budget_usd":
        return Outcome.MAX_COST, text
    if result.subtype == "error_max_structured_output_retries":
        return Outcome.NO_ANSWER, text
    if result.subtype == "error_during_execution":
        lost = "No conversation found" in text
        return (Outcome.TRANSCRIPT_LOST if lost else Outcome.CRASHED), text
    if result.is_error:
        return _api_error(result, lease, text)
    if result.stop_reason == "refusal":
        return Outcome.REFUSED, text or "the model declined"
    if answer_owed and result.structured_output is None:
        return Outcome.NO_ANSWER, "it ended without the structured answer that was asked for"
    denied = result.permission_denials or []
    if denied and tools_used <= len(denied):
        return Outcome.DENIED, f"{len(denied)} tool calls were denied and nothing was done"
    return Outcome.COMPLETED, ""


def _api_error(result: ResultMessage, lease: Lease, text: str) -> tuple[Outcome, str]:
    """An API failure: by status first, since the prose may quote anything."""
    status, lowered = result.api_error_status, text.lower()
    if result.terminal_reason == "prompt_too_long" or status == 413:
        return Outcome.PROMPT_TOO_LONG, text
    if "refusal" in (result.stop_reason or ""):
        return Outcome.REFUSED, text
    if status == 429:
        return (Outcome.USAGE_LIMIT if lease.limited else Outcome.UNAVAILABLE), text
    if status in {401, 403}:
        return Outcome.AUTH, text
    if status == 404:
        return Outcome.UNKNOWN_MODEL, text
    if status == 400:
        return _bad_request(lowered), text
    if status is None or status >= 500 or status == 408:
        return Outcome.UNAVAILABLE, text
    return Outcome.CRASHED, text


def _bad_request(lowered: str) -> Outcome:
    if "credit balance" in lowered:
        return Outcome.CREDIT
    if "too long" in lowered:
        return Outcome.PROMPT_TOO_LONG
    return Outcome.USAGE_LIMIT if any(words in lowered for words in _LIMIT_WORDS) else Outcome.CRASHED
