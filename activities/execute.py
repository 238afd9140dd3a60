"""execute: one Claude Code call in the worktree, and exactly one checkpoint commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.asking import LOCK_SECONDS, describe_failures, describe_tries, lease_for, report, settled, whole
from activities.attempt import Attempt, attend
from activities.claude import Ask, Told
from activities.host import Host
from activities.prompts import bullets, render, section
from activities.workspace import Checkpoint as Commit
from activities.workspace import Worktree, checkpoint, find_published, give_agent_git, publish, session_lock
from workflows.contracts import requests
from workflows.contracts.outcome import MAX_OBSERVED, Outcome
from workflows.contracts.requests import ExecuteRequest, ExecuteResult
from workflows.contracts.text import printable
from workflows.policy.record import one_line

_SPOILT = {Outcome.TRANSCRIPT_LOST, Outcome.PROMPT_TOO_LONG}
"""After these the transcript is of no use to a later attempt."""
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
        return await attend(lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: ExecuteRequest) -> ExecuteResult:
        site, folder = request.site, self.host.folder(request.site.session_id)
        start = await self.host.base(site)
        async with session_lock(folder, limit_s=LOCK_SECONDS):
            vault = await self.host.vault(site.project)
            conversation = request.conversation or _conversation(request, start)
            for step, outcome in ((request.step, Outcome.COMPLETED), (_partial(request.step), Outcome.INTERRUPTED)):
                done = await find_published(vault, site.session_id, site.iteration, step, start)
                if done is not None:
                    return ExecuteResult(
                        outcome=outcome,
                        detail="its worker died" if outcome is Outcome.INTERRUPTED else "",
                        usage=attempt.earlier,
                        checkpoint=_contract(done, site.iteration),
                        conversation=conversation if outcome is Outcome.INTERRUPTED else None,
                        notes=["an earlier attempt had published its checkpoint before its worker died"],
                    )
            transcript = _transcript(folder, conversation)
            resumed = transcript is not None
            worktree = await self.host.worktree(site, start, keep_changes=resumed or attempt.number > 1)
            told = await self._call(attempt, request, worktree, conversation, resumed=resumed)
            told = whole(self.host, told)
            if attempt.lost:
                # The later attempt waits for the lock: it finds the work and the conversation as they are.
                raise ApplicationError(attempt.why, type="AttemptLost")
            if told.outcome in _SPOILT and transcript is not None:
                transcript.unlink(missing_ok=True)
            made = await checkpoint(
                worktree,
                session_id=site.session_id,
                iteration=site.iteration,
                step=_partial(request.step) if told.outcome in _GOES_ON else request.step,
                subject=one_line(request.subject, 72),
                body=printable(told.text[:2_000]),
                redactor=self.host.redactor,
            )
            await publish(worktree, vault, made.commit, start)
        return report(
            ExecuteResult,
            told,
            self.host,
            site,
            checkpoint=_contract(made, site.iteration),
            conversation=conversation if told.outcome in _GOES_ON else None,
            summary=told.text,
            notes=_notes(made),
        )

    async def _call(
        self, attempt: Attempt, request: ExecuteRequest, worktree: Worktree, conversation: str, *, resumed: bool
    ) -> Told:
        config = self.host.folder(request.site.session_id) / "claude"
        await give_agent_git(worktree, self.host.launcher.objects(worktree.objects))
        ask = Ask(
            role="execute",
            phase="execute",
            prompt=self._resume(request) if resumed else self._brief(request),
            guide=render("rules"),
            allowance=request.allowance,
            conversation=conversation,
            resume=resumed,
        )
        lease = lease_for(request.site, "execute", attempt, request.allowance)
        attempt.usage = lambda: lease.usage
        told = await self.host.runner.run(
            ask,
            lease,
            self.host.box(request.site, worktree, writable=True, config=config),
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
            unmet=section("What is not met yet, as Overnight observed it", describe_failures(self.host, brief.unmet)),
            dead_ends=section("Dead ends: tried, and it did not help", describe_tries(brief.dead_ends)),
            notes=section("Notes", bullets(list(brief.notes))),
        )

    def _resume(self, request: ExecuteRequest) -> str:
        return render(
            "resume",
            guidance=section(
                "New guidance from the person who gave the goal: follow it", bullets(list(request.brief.guidance))
            ),
        )


def _partial(step: str) -> str:
    """The step's name in the trailer of a checkpoint that it did not finish: whoever adopts it must go on."""
    return f"{step}.partial"


def _conversation(request: ExecuteRequest, start: str) -> str:
    """The Claude Code session of an execute: the same in each of its attempts."""
    site = request.site
    return str(uuid5(NAMESPACE_URL, f"overnight:{site.session_id}:{site.iteration}:{request.step}:{start}"))


def _transcript(folder: Path, conversation: str) -> Path | None:
    """The transcript of a conversation on this host, if it has one that is not empty."""
    found = [p for p in (folder / "claude" / "projects").glob(f"*/{conversation}.jsonl") if p.stat().st_size > 0]
    return found[0] if found else None


def _contract(made: Commit, iteration: int) -> requests.Checkpoint:
    return requests.Checkpoint(
        commit=made.commit, tree=made.tree, parent=made.parent, iteration=iteration, changed_files=made.changed_files
    )


def _notes(made: Commit) -> list[str]:
    notes = [
        f"{path} was a git repository of its own: its files are committed as ordinary files" for path in made.nested
    ]
    notes += [
        f"{found.path}:{found.line}: a secret ({found.rule}) was taken out before the commit" for found in made.secrets
    ]
    notes += [f"{skipped.path} was not committed: {skipped.reason}" for skipped in made.skipped]
    return notes[:MAX_OBSERVED]
