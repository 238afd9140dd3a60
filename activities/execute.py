"""execute: one Claude Code call in the worktree, and exactly one checkpoint commit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from uuid import NAMESPACE_URL, uuid5

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.advising import remembered
from activities.asking import LOCK_SECONDS, describe_failures, describe_tries, leases_for, report, settled, whole
from activities.attempt import Attempt, attend
from activities.claude import Ask, Told, Transcript
from activities.ended import Ended
from activities.guarding import Guarded, guarded
from activities.host import Host
from activities.progress import LOST, Work, kept, partial, take_up
from activities.prompts import bullets, fenced, render, section
from activities.workspace import Checkpoint as Commit
from activities.workspace import Conflict, Vault, checkpoint, find_published, give_agent_git, publish, session_lock
from overnight.base.redaction import NOT_EXAMINED
from workflows.contracts import requests
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import ExecuteRequest, ExecuteResult, Site
from workflows.contracts.tamper import Guard
from workflows.contracts.text import printable
from workflows.policy.record import one_line

_SPOILT = {Outcome.TRANSCRIPT_LOST, Outcome.PROMPT_TOO_LONG}
"""After these the transcript is of no use to a later attempt."""
PUT_BACK_BYTES = 6_000
_LOST = "(what it was is in the artifact store no more)"
MAX_REVIVALS = 2
"""How often one execute goes on after Claude Code has died in it."""
_GOES_ON = {Outcome.INTERRUPTED, Outcome.USAGE_LIMIT}
"""After these the same conversation goes on."""


@dataclass(frozen=True)
class Execute:
    host: Host

    @activity.defn(name="execute")
    async def run(self, request: ExecuteRequest) -> ExecuteResult:
        """Work on one task and commit what came of it, however it ended.

        Never blindly repeated: a retry adopts the commit whose completion was lost, else it resumes the conversation
        on what the last attempt left in the worktree.
        """
        return await attend(self.host, lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: ExecuteRequest) -> ExecuteResult:
        site, folder = request.site, self.host.folder(request.site.session_id)
        start = await self.host.base(site)
        async with session_lock(folder, limit_s=LOCK_SECONDS):
            attempt.take_over(site)
            vault = await self.host.vault(site.project)
            said = Transcript(folder / "claude", request.conversation or _conversation(request, start))
            if (adopted := await self._adopted(attempt, request, vault, start, said.conversation)) is not None:
                return adopted
            ended = Ended(folder, request, start)
            work = await take_up(self.host, request, vault, start, said, ended)
            told = await self._ended(attempt, ended, work) or await self._called(attempt, request, work, ended)
            try:
                watched = await self._publish(request, told, work)
            except Conflict as conflict:
                if conflict.ref == work.held.ref:
                    raise ApplicationError("a later attempt has taken this one's place", type=LOST) from conflict
                return self._displaced(told, site, conflict)
            await ended.drop()
            made = watched.made
        return report(
            ExecuteResult,
            told,
            self.host,
            site,
            checkpoint=_contract(made, site.iteration),
            conversation=said.conversation if told.outcome in _GOES_ON else None,
            summary=told.text,
            notes=_notes(made),
            more_notes=made.unlisted,
            tampering=watched.told,
            more_tampering=watched.more,
            taken_back=watched.diff,
        )

    async def _ended(self, attempt: Attempt, ended: Ended, work: Work) -> Told | None:
        """How the call ended whose checkpoint could not be published, if all is as it left it."""
        told = await ended.told() if work.as_left else None
        return replace(told, usage=attempt.spent()) if told else None

    async def _called(self, attempt: Attempt, request: ExecuteRequest, work: Work, ended: Ended) -> Told:
        """The call, its work kept while it runs."""
        async with kept(self.host, attempt, request.site, work):
            told = whole(self.host, await self._calls(attempt, request, work))
        if attempt.lost:
            # The later attempt waits for the lock: it finds the work and the conversation as they are.
            raise ApplicationError(attempt.why, type=LOST)
        if told.outcome in _SPOILT:
            await asyncio.to_thread(work.said.drop)
        await ended.keep(told)
        return told

    def _displaced(self, told: Told, site: Site, conflict: Conflict) -> ExecuteResult:
        """Somebody else moved the branch: nobody but a person can say which work is to stand."""
        put_back = f"git -C VAULT update-ref {conflict.ref} {conflict.expected or '-d'}"
        detail = (
            f"somebody else moved {conflict.ref.removeprefix('refs/heads/')} to {conflict.tip or 'nothing'}. The work"
            f" is kept and nothing is paid twice: put the branch back (`{put_back}`) and resume"
        )
        return report(ExecuteResult, replace(told, outcome=Outcome.WORKSPACE, detail=detail), self.host, site)

    async def _adopted(
        self, attempt: Attempt, request: ExecuteRequest, vault: Vault, start: str, conversation: str
    ) -> ExecuteResult | None:
        """What an earlier attempt had published before its worker died, as this one's result."""
        site = request.site
        for step, outcome in ((request.step, Outcome.COMPLETED), (partial(request.step), Outcome.INTERRUPTED)):
            done = await find_published(vault, site.session_id, site.iteration, step, start)
            if done is not None:
                return ExecuteResult(
                    outcome=outcome,
                    detail="its worker died" if outcome is Outcome.INTERRUPTED else "",
                    usage=attempt.earlier,
                    checkpoint=_contract(done, site.iteration),
                    conversation=conversation if outcome is Outcome.INTERRUPTED else None,
                    host=self.host.id,
                    notes=["an earlier attempt had published its checkpoint before its worker died"],
                )
        return None

    async def _publish(self, request: ExecuteRequest, told: Told, work: Work) -> Guarded:
        """Exactly one commit, on the branch as long as no later attempt has taken this one's place.

        Raises ``Conflict``, ``GitError``.
        """
        goes_on = told.outcome in _GOES_ON
        committed = await checkpoint(
            work.worktree,
            session_id=request.site.session_id,
            iteration=request.site.iteration,
            step=partial(request.step) if goes_on else request.step,
            subject=one_line(request.subject, 72),
            body=printable(told.text[:2_000]),
            redactor=self.host.redactor,
        )
        watched = await guarded(self.host, work.worktree, committed, request.guard)
        made = watched.made
        follow = await work.to_follow(made.commit, self.host.redactor) if goes_on else None
        await publish(work.worktree, work.vault, made.commit, work.worktree.commit, held=work.held, follow=follow)
        return watched

    async def _calls(self, attempt: Attempt, request: ExecuteRequest, work: Work) -> Told:
        """The call; when Claude Code dies in the middle of it, the conversation goes on, a few times."""
        told = await self._call(attempt, request, work)
        for _ in range(MAX_REVIVALS):
            died = told.outcome is Outcome.CRASHED and not attempt.stop.is_set()
            if not (died and await asyncio.to_thread(work.said.is_usable)):
                break
            attempt.go_on()
            work.resumed = True
            again = await self._call(attempt, request, work)
            notes = [*told.notes, f"Claude Code died and its conversation went on: {told.detail}", *again.notes]
            told = replace(again, seconds=told.seconds + again.seconds, notes=notes)
        return told

    async def _call(self, attempt: Attempt, request: ExecuteRequest, work: Work) -> Told:
        await give_agent_git(work.worktree, self.host.launcher.objects(work.worktree.objects))
        ask = Ask(
            role="execute",
            phase="execute",
            prompt=await asyncio.to_thread(self._resume if work.resumed else self._brief, request),
            guide=render("rules"),
            allowance=request.allowance,
            conversation=work.said.conversation,
            resume=work.resumed,
        )
        [lease] = leases_for(request.site, "execute", attempt, request.allowance, 1)
        told = await self.host.runner.run(
            ask,
            lease,
            self.host.box(request.site, work.worktree, writable=True, config=work.said.config),
            stop=attempt.stop,
            progress=lambda did: setattr(attempt, "doing", self.host.redactor.text(did)),
        )
        return settled(attempt, told)

    def _brief(self, request: ExecuteRequest) -> str:
        brief = request.brief
        return render(
            "execute",
            task=brief.task,
            goal=brief.goal,
            plan=section("The plan", "\n".join(brief.steps)),
            strategy=section("The strategy to follow", brief.strategy),
            guidance=section(
                "New guidance from the person who gave the goal: follow it", bullets(list(brief.guidance))
            ),
            standing=section("Guidance given earlier; it still holds", bullets(list(brief.standing_guidance))),
            guarded=_guarded(request.guard),
            unmet=section("What is not met yet, as Overnight observed it", describe_failures(self.host, brief.unmet)),
            put_back=section("Put back by Overnight", self._put_back(request)),
            dead_ends=section("Dead ends: tried, and it did not help", describe_tries(brief.dead_ends)),
            notes=section("Notes", bullets(list(brief.notes))),
            known=section("What earlier sessions found in this project (untrusted)", remembered(brief.memories)),
        )

    def _put_back(self, request: ExecuteRequest) -> str:
        """What the last execute changed that it may not, and what became of it."""
        brief = request.brief
        if not brief.put_back:
            return ""
        told = (
            "The last execute changed what decides the checks. These are as they were before the work, and changing"
            f" them again leads nowhere:\n\n{bullets(list(brief.put_back))}"
        )
        if brief.taken_back is None:
            return told
        lost = self.host.artifacts.text_or(brief.taken_back, _LOST, head=PUT_BACK_BYTES, tail=0)
        return (
            f"{told}\n\nWhat was put back, so that you can do elsewhere what of it belongs to the task, such as new"
            f" tests in files of their own:\n\n{fenced('diff', lost)}"
        )

    def _resume(self, request: ExecuteRequest) -> str:
        return render(
            "resume",
            guidance=section(
                "New guidance from the person who gave the goal: follow it", bullets(list(request.brief.guidance))
            ),
            put_back=section("Put back by Overnight", self._put_back(request)),
        )


def _guarded(guard: Guard | None) -> str:
    """What else than the rules say may not, or may, be changed."""
    if guard is None:
        return ""
    stays = section("Protected by the person who gave the goal: do not change", bullets(list(guard.protected)))
    return stays + section(
        "Existing tests and settings that the task may change", bullets([*guard.may_change, *guard.planned])
    )


def _conversation(request: ExecuteRequest, start: str) -> str:
    """The Claude Code session of an execute: the same in each of its attempts."""
    site = request.site
    return str(uuid5(NAMESPACE_URL, f"overnight:{site.session_id}:{site.iteration}:{request.step}:{start}"))


def _contract(made: Commit, iteration: int) -> requests.Checkpoint:
    return requests.Checkpoint(
        commit=made.commit, tree=made.tree, parent=made.parent, iteration=iteration, changed_files=made.changed_files
    )


def _notes(made: Commit) -> list[str]:
    notes = [
        f"{path} was a git repository of its own: its files are committed as ordinary files" for path in made.nested
    ]
    notes += [
        f"{found.path} could not be examined for secrets: a marker took its place"
        if found.rule == NOT_EXAMINED
        else f"{found.path}:{found.line}: a secret ({found.rule}) was taken out before the commit"
        for found in made.secrets
    ]
    notes += [f"{skipped.path} was not committed: {skipped.reason}" for skipped in made.skipped]
    return notes
