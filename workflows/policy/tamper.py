"""Tampering: what the guard is asked, which tests vanished or became skipped, and what stands against success."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workflows.contracts.evidence import MAX_TAMPERING, CommandEvidence, Scorecard, Tally, Tampering
from workflows.contracts.requests import ExecuteResult, FailedCheck, ValidateResult
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionState
from workflows.contracts.tamper import Guard, KnownTests
from workflows.policy.record import one_line
from workflows.policy.words import counted, did_not_run

TAMPERING = "tampering"
"""Names what stands against a commit among what is not met."""
HELD_OUT = "held-out"
"""Evidence of checks that the agent never sees."""
NO_TESTS = 5
"""How pytest, and unittest of Python 3.12 and later, end when they find no test."""
SKIPPED = "skipped"
_NO_TAMPERING = (
    "every test that was there still runs and asserts what it did, and nothing takes the place of what runs the checks"
)
_HELD_OUT_HOLD = "checks that you cannot see pass: they test what the goal says, in general"
_VARYING = re.compile(r"0x[0-9a-fA-F]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|\d{5,}|\(line \d+\)")


@dataclass(frozen=True, slots=True)
class Known:
    """A test that was seen: how it ended last, and whether the baseline had it."""

    outcome: str
    base: bool = False


def guard(spec: SessionSpec, state: SessionState) -> Guard | None:
    """What is to stay as the base commit has it; None before there is a plan."""
    if state.base is None or state.plan is None:
        return None
    return Guard(
        base=state.base,
        protected=spec.protected_paths,
        may_change=spec.may_change,
        planned=state.plan.may_change,
        check_files=state.plan.check_files,
        commands=[c.command for c in state.criteria if c.command],
        threshold=spec.success_threshold,
    )


def put_back(state: SessionState, result: ExecuteResult) -> list[str]:
    """Remember what an execute changed that it may not; in words, for the record."""
    state.put_back, state.taken_back = result.tampering, result.taken_back
    state.put_backs += len(result.tampering) + result.more_tampering
    more = [f"and {result.more_tampering} more such files"] if result.more_tampering else []
    return [*(f"put back: {in_words(found)}" for found in result.tampering), *more] if result.tampering else []


def noticed(state: SessionState, result: ValidateResult) -> list[str]:
    """Remember the tests that a validation saw; what stands against its commit, in words."""
    state.known_tests = result.known_tests or state.known_tests
    more = [f"and {result.more_tampering} more of this kind"] if result.more_tampering else []
    return [*(f"tampering: {in_words(found)}" for found in result.tampering), *more] if result.tampering else []


def in_words(found: Tampering) -> str:
    """One finding, for a person and for the agent alike."""
    return f"{found.path}: {found.detail}"


def shown(state: SessionState) -> list[str]:
    """What a person is shown: what stands, and what the last execute did that was put back."""
    standing = state.card.tampering if state.card else []
    return [
        *(one_line(f"stands: {in_words(found)}") for found in standing),
        *(one_line(f"put back: {in_words(found)}") for found in state.put_back),
    ]


def stands(card: Scorecard) -> bool:
    """Whether something of this kind keeps the commit from being a success."""
    return bool(card.tampering)


def failed(card: Scorecard) -> list[FailedCheck]:
    """What the agent is told of tampering that stands, and of held-out checks: of these what its evidence says."""
    told: list[FailedCheck] = []
    if card.tampering:
        lines = "; ".join(in_words(found) for found in card.tampering)
        told.append(
            FailedCheck(criterion=TAMPERING, description=_NO_TAMPERING, evidence=f"Overnight found: {lines}. Mend it.")
        )
    told += [
        # Its log is there only where the person decided to tell all of it.
        FailedCheck(criterion=HELD_OUT, description=_HELD_OUT_HOLD, evidence=e.tail, log=e.log)
        for e in card.commands
        if e.criterion == HELD_OUT and not held_out_pass(e)
    ]
    return told


def held_out_pass(ran: CommandEvidence) -> bool:
    """Whether held-out checks ended well, and not because none of them ran."""
    return ran.exit_code == 0 and ran.rate > 0


YOUR_COMMAND = "your held-out command "
"""How the reason of a pause begins that asks the person to look: what ran said nothing of the work."""


def held_out_pause(spec: SessionSpec, state: SessionState) -> str:
    """Why the session is to pause after the held-out checks ran: they said nothing of the work; else empty."""
    trouble = state.held_out_run.trouble if state.held_out_run else ""
    command = one_line(spec.held_out.command, 60) if spec.held_out else ""
    what = (
        "does not run" if did_not_run(state.held_out_run.exit_code if state.held_out_run else None) else "ran no test"
    )
    return f"{YOUR_COMMAND}{what}: {command}: {trouble}; look at it and resume" if trouble else ""


def forget_held_out(state: SessionState) -> None:
    """The agent is told nothing of a run that says nothing of its work."""
    if state.card is not None:
        kept = [e for e in state.card.commands if e.criterion != HELD_OUT]
        state.card = state.card.model_copy(update={"commands": kept})


def held_out_trouble(ran: CommandEvidence) -> str:
    """Why a run of held-out checks says nothing about the work, in words: it ran nothing, or no test; else empty."""
    if why := did_not_run(ran.exit_code):
        return why
    none_ran = ran.tally.source != "exit" and not ran.tally.ran and not ran.tally.failed
    silent = ran.exit_code == 0 and ran.rate == 0
    untested = silent or (none_ran and ran.exit_code == NO_TESTS)
    return f"exit code {ran.exit_code}, no test was seen to run" if untested else ""


# ---------------------------------------------------------------------- tests that were seen before


def vanished(
    known: Mapping[str, Known], seen: Mapping[str, str], may_change: Iterable[str] = ()
) -> tuple[list[Tampering], int]:
    """Tests that are gone or skipped now: at most six findings, and how many more there are.

    A test of the baseline must still be there and run, unless it lies in a file (``may_change``, paths) that the goal
    asks to change: then it may go, not be skipped. Tests that the session added may be renamed, so only their number
    counts. Cases of one parametrised test count together, for their ids may tell of addresses or times.
    """
    free = [_spellings(path) for path in may_change]
    base, base_ran = _cases((i, k.outcome) for i, k in known.items() if k.base)
    own, own_ran = _cases((i, k.outcome) for i, k in known.items() if not k.base)
    now, now_ran = _cases(seen.items())
    found: list[Tampering] = []
    for test in sorted(base):
        gone = base[test] - now[test]
        if gone > 0 and not any(_speaks_of(test, spellings) for spellings in free):
            found.append(_test("vanished", test, f"{gone} of {base[test]} cases vanished: it ran before the work"))
        elif min(base_ran[test], now[test]) > now_ran[test]:
            found.append(_test("skipped", test, "it is skipped now: it ran before the work"))
    fresh = sum(number for test, number in now.items() if test not in base)
    if (gone := sum(number for test, number in own.items() if test not in base) - fresh) > 0:
        missing = next((test for test in sorted(own) if now[test] < own[test]), "tests")
        found.append(_test("vanished", missing, f"{gone} fewer tests than the session had added before"))
    found += [
        _test("skipped", test, "it is skipped now: it ran in an earlier iteration")
        for test in sorted(own)
        if test not in base and now[test] >= own[test] and now_ran[test] < own_ran[test]
    ]
    return found[:MAX_TAMPERING], len(found[MAX_TAMPERING:])


def fewer(known: KnownTests, tally: Tally) -> list[Tampering]:
    """Where tests are counted, and not named: none runs any more, or some are skipped in the place of those that ran.

    That only fewer run is no finding: some runners count parts of one test, or a package as one.
    """
    if known.ran and not tally.ran:
        ran = counted(known.ran, "test")
        return [_test("vanished", known.criterion, f"no test is seen to run now: {ran} ran before the work")]
    if tally.ran < known.ran and tally.skipped > known.skipped:
        skipped = f"{tally.skipped} skipped and {tally.ran} run, where {known.skipped} and {known.ran} were"
        return [_test("skipped", known.criterion, f"tests are skipped that ran before the work: {skipped}")]
    return []


def remember(
    known: Mapping[str, Known], seen: Mapping[str, str], *, baseline: bool = False, accepted: bool
) -> dict[str, Known]:
    """What is known after a run. Nothing of the baseline is ever forgotten.

    A run that was ``accepted`` (its command holds, nothing vanished) is the new list of what the session added; any
    other one only adds to it.
    """
    kept = {test: k for test, k in known.items() if k.base or not accepted}
    for test, outcome in seen.items():
        earlier = kept.get(test) or known.get(test)
        is_base = baseline or (earlier is not None and earlier.base)
        # Who ran once is to run again: an outcome never becomes "skipped" here.
        outlasts = earlier is not None and outcome == SKIPPED
        kept[test] = Known(earlier.outcome if outlasts and earlier else outcome, is_base)
    return dict(sorted(kept.items()))


def _cases(tests: Iterable[tuple[str, str]]) -> tuple[Counter[str], Counter[str]]:
    """How many cases each test has, and how many of them ran."""
    there: Counter[str] = Counter()
    ran: Counter[str] = Counter()
    for identifier, outcome in tests:
        test = _VARYING.sub("#", identifier.partition("[")[0])
        there[test] += 1
        ran[test] += outcome != SKIPPED
    return there, ran


def _spellings(path: str) -> tuple[str, ...]:
    stem, _, kind = path.rpartition(".")
    stem = stem or path
    # Go names a test by its package, which is a folder.
    named = stem.rpartition("/")[0] if kind == "go" and "/" in stem else stem
    return path, stem.replace("/", "."), named.rpartition("/")[2]


def _speaks_of(test: str, spellings: tuple[str, ...]) -> bool:
    path, dotted, name = spellings
    return f"/{path}" in f"/{test}" or f".{dotted}." in f".{test}." or name in re.split(r"[./:]+", test)


def _test(kind: str, test: str, detail: str) -> Tampering:
    return Tampering.model_validate({"kind": kind, "path": test, "detail": detail})
