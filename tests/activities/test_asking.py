"""What plan, judge, diagnose and reflect share: nothing of the agent's decides, and no note is lost."""

from __future__ import annotations

from pathlib import Path

from temporalio.testing import ActivityEnvironment

from activities.asking import consult, describe_failures, report
from activities.attempt import Attempt
from activities.claude import Told
from activities.plan import _given as planning
from overnight.demo.reply import Answer
from overnight.demo.script import Scenario
from tests.activities.test_execute import Bench, bench
from workflows.contracts.answers import DiagnosisAnswer
from workflows.contracts.evidence import Tally
from workflows.contracts.outcome import MAX_OBSERVED, CallReport, Outcome
from workflows.contracts.requests import FailedCheck, PlanRequest

__all__ = ["bench"]

ANSWER = {"root_cause": "a", "fix": "b", "category": "c", "confidence": "high"}


async def asked(bench: Bench) -> Told:
    """A question about the session's commit."""
    site = bench.request.site
    bench.stage.play = Scenario({"diagnose": [Answer(ANSWER)]})

    async def activity() -> Told:
        return await consult(
            bench.host,
            Attempt(bench.host),
            site,
            commit=await bench.host.base(site),
            role="diagnose",
            phase="diagnose",
            prompt="Why?",
            allowance=bench.request.allowance,
            answer=DiagnosisAnswer,
        )

    return await ActivityEnvironment().run(activity)


async def test_the_agent_s_git_is_not_there_when_a_judge_looks(bench: Bench) -> None:
    """Its settings name programs: one that git starts could answer in the model's place."""
    assert (await asked(bench)).outcome is Outcome.COMPLETED
    own = bench.host.folder("a-session") / "tree" / ".git"
    (own / "config").write_text("[core]\n\tfsmonitor = ./answer\n\tbare = false\n\trepositoryformatversion = 0\n")
    (own / "hooks").mkdir()
    assert (await asked(bench)).outcome is Outcome.COMPLETED
    assert "fsmonitor" not in (own / "config").read_text()
    assert not (own / "hooks").exists()


def test_a_lost_output_is_told_as_far_as_it_is_known(bench: Bench, tmp_path: Path) -> None:
    host, log = bench.host, bench.host.artifacts.put_bytes(b"all of it\n" * 9)
    failed = FailedCheck(
        criterion="c", description="d", command="make", exit_code=1, evidence="its end", log=log, tests=log,
        tally=Tally(failed=2),
    )  # fmt: skip
    assert "all of it" in describe_failures(host, [failed])
    (host.settings.home / "artifacts").rename(tmp_path / "away")
    told = describe_failures(host, [failed])
    assert "`make`: exit code 1" in told
    assert "its end" in told


def test_who_plans_anew_is_told_what_was_rejected_and_why(bench: Bench) -> None:
    asked = bench.request
    told = planning(
        PlanRequest(
            site=asked.site, allowance=asked.allowance, goal="g", guidance=["no frameworks"], rejected=["set up one"]
        )
    )
    assert "## Steps of the plan that the person rejected" in told
    assert "- set up one" in told
    assert "- no frameworks" in told


async def test_every_note_is_told_or_counted(bench: Bench) -> None:
    told = Told(Outcome.COMPLETED, notes=[f"seen {number}" for number in range(8)])
    own = [f"left out {number}" for number in range(120)]
    made = report(CallReport, told, bench.host, bench.request.site, notes=own, more_notes=33)
    assert len(made.notes) == MAX_OBSERVED
    assert len(made.notes) + made.more_notes == 8 + 120 + 33
    assert report(CallReport, told, bench.host, bench.request.site).more_notes == 0
