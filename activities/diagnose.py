"""diagnose: the root cause of what is not met, and a fix."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from temporalio import activity

from activities.asking import DIFF_BYTES, consult, describe_failures, describe_tries, report
from activities.attempt import Attempt, attend
from activities.host import Host
from activities.prompts import render, section
from activities.workspace import diff
from workflows.contracts.answers import DiagnosisAnswer
from workflows.contracts.requests import DiagnoseRequest, DiagnoseResult


@dataclass(frozen=True)
class Diagnose:
    host: Host

    @activity.defn(name="diagnose")
    async def run(self, request: DiagnoseRequest) -> DiagnoseResult:
        """A diagnosis from evidence, the last change and what was tried. A retry is a new call."""
        return await attend(self.host, lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: DiagnoseRequest) -> DiagnoseResult:
        commit = await self.host.base(request.site)
        vault = await self.host.vault(request.site.project)
        changed = await diff(vault, request.parent, commit, max_bytes=DIFF_BYTES)
        told = await consult(
            self.host,
            attempt,
            request.site,
            commit=commit,
            role="diagnose",
            phase="diagnose",
            prompt=render(
                "diagnose",
                goal=request.goal,
                failures=await asyncio.to_thread(describe_failures, self.host, request.failures),
                tries=section("Tried before", describe_tries(request.tries)),
                diff=section(
                    "What the last execute changed", f"<diff>\n{changed.patch}\n</diff>" if changed.patch else ""
                ),
            ),
            allowance=request.allowance,
            answer=DiagnosisAnswer,
        )
        diagnosis = told.answer if isinstance(told.answer, DiagnosisAnswer) else None
        return report(DiagnoseResult, told, self.host, request.site, diagnosis=diagnosis)
