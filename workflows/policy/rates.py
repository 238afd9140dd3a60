"""Pass rates: when the evidence of a command meets its threshold. The one place that decides it."""

from __future__ import annotations

from workflows.contracts.evidence import MAX_FAILING, CommandEvidence, Tally

JUST_SHORT = 0.99
CRASHED = 124
"""Exit codes from here on say that a program was stopped, is not there or was killed: never that tests failed."""


def rate(exit_code: int | None, tally: Tally) -> float:
    """Share of tests that passed, from 0 to 1. Skipped is not passed, and a failure that no test explains is one more.

    Without tests, the exit code alone decides.
    """
    unexplained = exit_code != 0 and tally.failed == 0
    failed = tally.failed + unexplained
    ran = tally.passed + failed
    return tally.passed / ran if ran else 1.0


def explains(exit_code: int | None, tally: Tally, *, whole: bool) -> bool:
    """Whether failed tests account for a non-zero exit code.

    ``whole`` says that nothing else can have failed unseen: the run was not cut short, no report is missing, and the
    command is one from which nothing is left out when its tests fail.
    """
    return whole and exit_code is not None and 0 < exit_code < CRASHED and tally.failed > 0


def holds(evidence: CommandEvidence, threshold: float) -> bool:
    """Whether a command's evidence meets its threshold: it ended well, or by nothing but failed tests within it."""
    if evidence.timed_out or evidence.exit_code is None:
        return False
    return (evidence.exit_code == 0 or evidence.explained) and evidence.rate >= threshold


def tolerated(evidence: CommandEvidence, failed: int, ran_before: int, threshold: float) -> CommandEvidence:
    """The evidence, held to what the baseline had: tests that were added since buy no tolerance for others.

    Params:
        failed: failed tests of the baseline, or all that failed where nobody knows which of them are.
        ran_before: tests that ran in the baseline; 0 where there were none, and then all tests are new.
    """
    if not ran_before or evidence.rate < threshold or 1 - failed / ran_before >= threshold:
        return evidence
    # It falls short, by as little as it takes: it is no step back from what was there before.
    return evidence.model_copy(update={"rate": JUST_SHORT * threshold})


def together(steps: list[CommandEvidence], expected: int) -> CommandEvidence:
    """What ``expected`` steps of one command came to, of which these ran, in order; at least one did.

    It holds when all ran and each holds: the lowest rate counts, and the first exit code that is not 0.
    """
    failed = [step for step in steps if step.exit_code != 0]
    tallies = [step.tally for step in steps]
    complete = len(steps) == expected
    return steps[-1].model_copy(
        update={
            "exit_code": failed[0].exit_code if failed else 0,
            "timed_out": any(step.timed_out for step in steps),
            "seconds": sum(step.seconds for step in steps),
            "rate": min(step.rate for step in steps),
            "explained": complete and bool(failed) and all(step.explained for step in failed),
            "tally": Tally(
                source=next((t.source for t in tallies if t.source != "exit"), "exit"),
                passed=sum(t.passed for t in tallies),
                failed=sum(t.failed for t in tallies),
                skipped=sum(t.skipped for t in tallies),
                failing=[name for t in tallies for name in t.failing][:MAX_FAILING],
            ),
            "steps": [step.exit_code for step in steps],
        }
    )
