"""judge: verdicts on what no command decides, from a fresh context, with quotes that Overnight checks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

from temporalio import activity

from activities.asking import DIFF_BYTES, consult_each, report
from activities.attempt import Attempt, attend
from activities.claude import Ask, Told
from activities.host import Host
from activities.prompts import bullets, fenced, render, section
from activities.workspace import Vault, diff, read_text
from workflows.contracts.answers import JudgeAnswer, JudgeVerdict
from workflows.contracts.evidence import ArtifactRef, CommandEvidence, Quote, Verdict
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import JudgeRequest, JudgeResult
from workflows.policy.tamper import HELD_OUT
from workflows.policy.words import how_it_went

_QUOTED_FILE_BYTES = 2_000_000
AT_ONCE = 3
"""Judges beside each other: each looks at one criterion, in a context of its own."""
LOG = "log:"
"""In front of a command's id, where a judge quotes what it printed."""
_SHOWN_HEAD_BYTES, _SHOWN_TAIL_BYTES = 500, 2_000
_SHORTEST_QUOTE = 8
"""Characters; shorter words are in any file and show nothing."""


@dataclass(frozen=True)
class Judge:
    host: Host

    @activity.defn(name="judge")
    async def run(self, request: JudgeRequest) -> JudgeResult:
        """One verdict per criterion, each from a call of its own; what is left out is not met. A retry calls anew."""
        return await attend(self.host, lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: JudgeRequest) -> JudgeResult:
        site, commit = request.site, await self.host.base(request.site)
        vault = await self.host.vault(site.project)
        changed = await diff(vault, request.base, commit, max_bytes=DIFF_BYTES)
        observed = await asyncio.to_thread(self._observed, request.evidence)
        asks = [
            Ask(
                role="judge",
                phase="judge",
                prompt=render(
                    "judge",
                    goal=request.goal,
                    criteria=bullets([f"`{criterion.id}`: {criterion.description}"]),
                    evidence=section("What Overnight observed", observed),
                    noticed=section(
                        "What Overnight noticed about the checks", fenced("noticed", bullets(list(request.noticed)))
                    )
                    if request.noticed
                    else "",
                    diff=section(
                        "What the session changed" + (" (the first part)" if changed.truncated else ""),
                        fenced("diff", changed.patch),
                    ),
                ),
                guide=render("observer"),
                allowance=request.allowance,
                answer=JudgeAnswer,
            )
            for criterion in request.criteria
        ]
        began = time.monotonic()
        told = await consult_each(self.host, attempt, site, asks, commit=commit, at_once=AT_ONCE)
        verdicts = [
            await self._verdict(vault, commit, criterion.id, one, request.evidence)
            for criterion, one in zip(request.criteria, told, strict=True)
            if one.outcome is Outcome.COMPLETED
        ]
        # Whoever failed says what is to be done about it; the others' words stay.
        worst = next((one for one in told if one.outcome is not Outcome.COMPLETED), told[0])
        whole = replace(
            worst,
            usage=attempt.spent(),
            # Not each one's own: some are beside each other, and some after others.
            seconds=time.monotonic() - began,
            notes=list(dict.fromkeys(note for one in told for note in one.notes)),
        )
        return report(JudgeResult, whole, self.host, request.site, verdicts=verdicts)

    def _observed(self, evidence: list[CommandEvidence]) -> str:
        """How the commands ended, and what they printed."""
        parts: list[str] = []
        for ran in evidence:
            parts.append(f"`{ran.criterion}`: {how_it_went(ran)}.")
            if ran.log is not None and ran.criterion != HELD_OUT:
                printed = self.host.artifacts.text_or(ran.log, ran.tail, head=_SHOWN_HEAD_BYTES, tail=_SHOWN_TAIL_BYTES)
                parts.append(f"Its output (`{LOG}{ran.criterion}`):\n\n{fenced('output', printed)}")
        return "\n\n".join(parts)

    async def _verdict(
        self, vault: Vault, commit: str, criterion: str, told: Told, evidence: list[CommandEvidence]
    ) -> Verdict:
        answer = told.answer
        said = [v for v in answer.verdicts if v.criterion == criterion] if isinstance(answer, JudgeAnswer) else []
        # Who contradicts itself is not sure: the no counts.
        worst = min(said, key=lambda v: v.met, default=None)
        logs = {f"{LOG}{ran.criterion}": ran.log for ran in evidence if ran.log and ran.criterion != HELD_OUT}
        return await self._checked(vault, commit, criterion, worst, logs)

    async def _checked(
        self, vault: Vault, commit: str, criterion: str, said: JudgeVerdict | None, logs: dict[str, ArtifactRef]
    ) -> Verdict:
        """The judge's word with each quote looked up in the commit, or in what a command printed."""
        if said is None:
            return Verdict(criterion=criterion, commit=commit, reason="the judge said nothing about it")
        quotes = [
            Quote(file=q.file, quote=q.quote, found=await self._is_there(vault, commit, q.file, q.quote, logs))
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

    async def _is_there(self, vault: Vault, commit: str, file: str, quote: str, logs: dict[str, ArtifactRef]) -> bool:
        wanted = " ".join(quote.split())
        path = file.removeprefix("/workspace/").removeprefix("./")
        if len(wanted) < _SHORTEST_QUOTE or path.startswith("/") or ".." in path.split("/"):
            return False
        text = await read_text(vault, commit, path, max_bytes=_QUOTED_FILE_BYTES)
        if text is None and (log := logs.get(file)) is not None:
            text = await asyncio.to_thread(
                self.host.artifacts.text_or, log, "", head=_QUOTED_FILE_BYTES // 2, tail=_QUOTED_FILE_BYTES // 2
            )
        return text is not None and wanted in " ".join(text.split())
