"""diagnose: the root cause of what is not met, and a fix."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from temporalio import activity

from activities.advising import advised
from activities.asking import DIFF_BYTES, consult, describe_failures, describe_tries, report
from activities.attempt import Attempt, attend
from activities.claude import Told
from activities.host import Host
from activities.prompts import bullets, fenced, render, section
from activities.workspace import diff
from workflows.contracts.answers import DiagnosisAnswer
from workflows.contracts.requests import DiagnoseRequest, DiagnoseResult
from workflows.policy.tries import repeated


@dataclass(frozen=True)
class Diagnose:
    host: Host

    @activity.defn(name="diagnose")
    async def run(self, request: DiagnoseRequest) -> DiagnoseResult:
        """A diagnosis from evidence, the last change and what was tried. A retry is a new call.

        One that proposes a fix on record is refused, with the reason, and asked for once more.
        """
        return await attend(self.host, lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: DiagnoseRequest) -> DiagnoseResult:
        commit = await self.host.base(request.site)
        vault = await self.host.vault(request.site.project)
        changed = await diff(vault, request.parent, commit, max_bytes=DIFF_BYTES)
        failures = await asyncio.to_thread(describe_failures, self.host, request.failures)

        async def ask(refused: str = "") -> Told:
            return await consult(
                self.host,
                attempt,
                request.site,
                commit=commit,
                role="diagnose",
                phase="diagnose",
                prompt=render(
                    "diagnose",
                    goal=request.goal,
                    failures=failures,
                    tries=section("Tried before", describe_tries(request.tries)),
                    put_back=section(
                        "Put back by Overnight: the last execute changed these, which decide the checks",
                        bullets(list(request.put_back)),
                    ),
                    diff=section(
                        "What the last execute changed", fenced("diff", changed.patch) if changed.patch else ""
                    ),
                    known=advised(request.given),
                    refused=section("Refused: a fix that was tried already", refused),
                ),
                allowance=request.allowance,
                answer=DiagnosisAnswer,
            )

        told = await ask()
        if (refused := _refused(request, told)) and not attempt.stop.is_set():
            attempt.go_on()
            again = await ask(refused)
            notes = [*told.notes, "a diagnosis that proposed a fix on record was refused and asked for again"]
            told = replace(again, seconds=told.seconds + again.seconds, notes=[*notes, *again.notes])
        diagnosis = told.answer if isinstance(told.answer, DiagnosisAnswer) else None
        return report(DiagnoseResult, told, self.host, request.site, diagnosis=diagnosis)


def _refused(request: DiagnoseRequest, told: Told) -> str:
    """Why this diagnosis is of no use, for whoever made it; empty when it proposes something new."""
    if not isinstance(told.answer, DiagnosisAnswer):
        return ""
    known = repeated(told.answer, request.tries, request.failure)
    if known is None:
        return ""
    return (
        f"You proposed: {told.answer.fix}\n\nThat is what was tried after #{known.iteration} ({known.fix}), and it"
        f" {known.result}. The cause is another one: find it, and propose a fix that differs in substance."
    )
