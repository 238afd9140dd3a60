"""Fixes on record: what was tried, what came of it, and whether a new one is an old one in other words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from workflows.contracts.answers import DiagnosisAnswer
from workflows.contracts.requests import Try
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import MAX_TRIES, SessionState
from workflows.policy import advice
from workflows.policy.criteria import left
from workflows.policy.record import one_line

DEAD = "did not help"
"""How the result of a try begins that brought nothing."""
NOT_TRIED = "not tried"
FIX_BYTES = 300
SAME_WORDS = 0.8
"""Likeness from which on two fixes are one."""
SAME_PLACE = 0.6
"""The same, for fixes that name the same files against the same failure."""
_WORD = re.compile(r"[a-z0-9_][a-z0-9_./-]{0,80}")
_FILE = re.compile(r"[\w-]+(?:/[\w.-]+)+|[\w-]+\.[a-z]{1,5}(?![\w(])")


def remember(spec: SessionSpec, state: SessionState, diagnosis: DiagnosisAnswer) -> None:
    """Put a diagnosis on record; its result comes with the next validation."""
    found = advice.failure(spec, state)
    add(
        state,
        Try(
            iteration=state.iteration,
            root_cause=one_line(diagnosis.root_cause),
            fix=one_line(diagnosis.fix, FIX_BYTES),
            failure=failing(state),
            against=found[1] if found else None,
            pattern=one_line(advice.key_lines(found[0].evidence, 400)) if found else "",
        ),
    )


def add(state: SessionState, tried: Try) -> None:
    """Put a try on record; the oldest beyond the limit is forgotten."""
    state.tries = [*state.tries, tried][-MAX_TRIES:]


def settle(state: SessionState) -> None:
    """Write beside the last try what the validation after it showed; a failure that came back was not mended."""
    seen = advice.failing_now(state)
    state.tries = [
        one.model_copy(update={"mended": False})
        if one.mended and one.against is not None and seen is not None and one.against.exact in seen
        else one
        for one in state.tries
    ]
    if not state.tries or state.tries[-1].result or state.tries[-1].iteration >= state.iteration:
        return
    still = ", ".join(left(state))
    _conclude(state, f"{DEAD}: {still} still unmet" if still else "worked")
    last = state.tries[-1]
    if last.against is not None and seen is not None:
        state.tries = [*state.tries[:-1], last.model_copy(update={"mended": last.against.exact not in seen})]


def undone(state: SessionState, iteration: int) -> None:
    """What came after ``iteration`` is undone: whether its failures are gone, nobody will see."""
    state.tries = [
        one.model_copy(update={"mended": None}) if one.mended and one.iteration >= iteration else one
        for one in state.tries
    ]


def drop(state: SessionState, why: str) -> None:
    """The fix that was to come next does not: something else takes its place."""
    if state.fix is not None and state.fix.kind == "fix" and state.tries and not state.tries[-1].result:
        _conclude(state, f"{NOT_TRIED}: {why}")
    state.fix = None
    advice.dropped(state)


def _conclude(state: SessionState, result: str) -> None:
    last = state.tries[-1].model_copy(update={"result": one_line(result, 120)})
    state.tries = [*state.tries[:-1], last]


def failing(state: SessionState) -> str | None:
    """What failed in the last validated iteration."""
    return state.trail[-1].failure if state.trail else None


def repeated(diagnosis: DiagnosisAnswer, tries: Sequence[Try], failure: str | None) -> Try | None:
    """The try without success that this diagnosis proposes again, if there is one."""
    fix = one_line(diagnosis.fix, FIX_BYTES)
    for tried in reversed(tries):
        if not tried.result.startswith(DEAD):
            continue
        same_place = failure is not None and tried.failure == failure and _same_files(fix, tried.fix)
        if likeness(fix, tried.fix) >= (SAME_PLACE if same_place else SAME_WORDS):
            return tried
    return None


def likeness(one: str, other: str) -> float:
    """How alike two texts are in their words, from 0 to 1, in the order given or in any."""
    a, b = _WORD.findall(one.lower()), _WORD.findall(other.lower())
    return max(
        SequenceMatcher(None, first, second, autojunk=False).ratio()
        for first, second in ((a, b), (sorted(a), sorted(b)))
    )


def _same_files(one: str, other: str) -> bool:
    named = set(_FILE.findall(one))
    return bool(named) and named == set(_FILE.findall(other))
