"""judge: verdicts on what no command decides, from a fresh context, with quotes that Overnight checks."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from activities.asking import DIFF_BYTES, consult, report
from activities.attempt import Attempt, attend
from activities.host import Host
from activities.prompts import bullets, render, section
from activities.workspace import Vault, diff, read_text
from workflows.contracts.answers import JudgeAnswer, JudgeVerdict
from workflows.contracts.evidence import Quote, Verdict
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import JudgeRequest, JudgeResult
from workflows.policy.words import how_it_ended

_QUOTED_FILE_BYTES = 2_000_000
_SHORTEST_QUOTE = 8
"""Characters; shorter words are in any file and show nothing."""


@dataclass(frozen=True)
class Judge:
    host: Host

    @activity.defn(name="judge")
    async def run(self, request: JudgeRequest) -> JudgeResult:
        """One verdict per criterion; what the judge left out is not met. A retry is a new call."""
        return await attend(self.host, lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: JudgeRequest) -> JudgeResult:
        site, commit = request.site, await self.host.base(request.site)
        vault = await self.host.vault(site.project)
        changed = await diff(vault, request.base, commit, max_bytes=DIFF_BYTES)
        told = await consult(
            self.host,
            attempt,
            site,
            commit=commit,
            role="judge",
            phase="judge",
            prompt=render(
                "judge",
                goal=request.goal,
                criteria=bullets([f"`{c.id}`: {c.description}" for c in request.criteria]),
                evidence=section(
                    "What Overnight observed",
                    bullets(
                        [
                            f"`{e.criterion}`: {how_it_ended(e.exit_code, timed_out=e.timed_out)}"
                            for e in request.evidence
                        ]
                    ),
                ),
                diff=section(
                    "What the session changed" + (" (the first part)" if changed.truncated else ""),
                    f"<diff>\n{changed.patch}\n</diff>",
                ),
            ),
            allowance=request.allowance,
            answer=JudgeAnswer,
        )
        verdicts: list[Verdict] = []
        if told.outcome is Outcome.COMPLETED and isinstance(told.answer, JudgeAnswer):
            for criterion in request.criteria:
                said = [v for v in told.answer.verdicts if v.criterion == criterion.id]
                # Who contradicts itself is not sure: the no counts.
                worst = min(said, key=lambda v: v.met, default=None)
                verdicts.append(await self._checked(vault, commit, criterion.id, worst))
        return report(JudgeResult, told, self.host, request.site, verdicts=verdicts)

    async def _checked(self, vault: Vault, commit: str, criterion: str, said: JudgeVerdict | None) -> Verdict:
        """The judge's word with each quote looked up in the commit."""
        if said is None:
            return Verdict(criterion=criterion, commit=commit, reason="the judge said nothing about it")
        quotes = [
            Quote(file=q.file, quote=q.quote, found=await _is_there(vault, commit, q.file, q.quote))
            for q in said.evidence[:2]
        ]
        return Verdict(
            criterion=criterion,
            commit=commit,
            met=said.met,
            confidence=said.confidence,
            reason=said.reason,
            quotes=quotes,
        )


async def _is_there(vault: Vault, commit: str, file: str, quote: str) -> bool:
    wanted = " ".join(quote.split())
    path = file.removeprefix("/workspace/").removeprefix("./")
    if len(wanted) < _SHORTEST_QUOTE or path.startswith("/") or ".." in path.split("/"):
        return False
    text = await read_text(vault, commit, path, max_bytes=_QUOTED_FILE_BYTES)
    return text is not None and wanted in " ".join(text.split())
