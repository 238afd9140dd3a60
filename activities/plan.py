"""plan: import the project and make a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio import activity

from activities.advising import advised, dated
from activities.asking import consult, describe_tries, report
from activities.attempt import Attempt, StoppedError, attend
from activities.holding_out import import_held_out
from activities.host import Host
from activities.left_out import left_out
from activities.prompts import bullets, render, section
from activities.validation import freed
from activities.workspace import ProjectError, tree_of
from workflows.contracts.answers import PlanAnswer
from workflows.contracts.evidence import ArtifactRef
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import PlanRequest, PlanResult
from workflows.policy.agreed import plan_from


@dataclass(frozen=True)
class Plan:
    host: Host

    @activity.defn(name="plan")
    async def run(self, request: PlanRequest) -> PlanResult:
        """The session's base commit and its plan. A retry is a new call on the same base."""
        return await attend(self.host, lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: PlanRequest) -> PlanResult:
        try:
            base, kept, notes = await attempt.unless_stopped(self._import(request))
        except ProjectError as error:
            return PlanResult(outcome=Outcome.WORKSPACE, detail=str(error))
        except StoppedError as error:
            return PlanResult(outcome=Outcome.INTERRUPTED, detail=str(error), usage=attempt.spent())
        vault = await self.host.vault(request.site.project)
        given = await dated(vault, request.given, base)
        tree = await tree_of(vault, base)
        absent = await left_out(vault, base, tree)
        told = await consult(
            self.host,
            attempt,
            request.site,
            commit=base,
            role="plan",
            phase="plan",
            prompt=render(
                "plan", goal=request.goal, given=_given(request, absent), so_far=_so_far(request), known=advised(given)
            ),
            allowance=request.allowance,
            answer=PlanAnswer,
        )
        plan = None
        if isinstance(told.answer, PlanAnswer):
            plan = plan_from(told.answer, request)
            may_change, refused = freed(plan.may_change, tree)
            plan = plan.model_copy(update={"may_change": may_change})
            notes += refused if request.why else [*absent, *refused]
        more = {"base": base, "plan": plan, "held_out": kept, "notes": notes, "memories": given.memories}
        return report(PlanResult, told, self.host, request.site, **more)

    async def _import(self, request: PlanRequest) -> tuple[str, ArtifactRef | None, list[str]]:
        """The base commit, and the held-out checks as an artifact, with notes. It may be far away, or silent."""
        base = await self.host.base(request.site)
        if request.held_out is None:
            return base, None, []
        return base, *await import_held_out(self.host, request.site, base, request.held_out)


def _given(request: PlanRequest, absent: Sequence[str] = ()) -> str:
    """What the person fixed already, and what of the project is ``absent`` from the working directory."""
    criteria = [f"The command `{request.validation_command}` passes."] if request.validation_command else []
    criteria += request.success_criteria
    parts = [
        section("Criteria given by the person", bullets(criteria)),
        section("Setup command given by the person", f"`{request.setup_command}`" if request.setup_command else ""),
        section("Paths that the person protects: no step changes them", bullets(list(request.protected_paths))),
        section("Tests that the person lets change", bullets(list(request.may_change))),
        section("Guidance of the person", bullets(list(request.guidance))),
        section("Steps of the plan that the person rejected (why is in their guidance)", bullets(request.rejected)),
        section("Not in your working directory", bullets(list(absent))),
    ]
    return "\n".join(part for part in parts if part)


def _so_far(request: PlanRequest) -> str:
    """What a new plan for the rest is to build on; nothing for the first plan."""
    if not request.why:
        return ""
    told = (
        f"An earlier plan did not get there ({request.why}). What it achieved is in your working directory. Plan only"
        " what is left, by a way that differs from what was tried. The criteria stay as they are: give none."
    )
    parts = [
        section("A new plan for what is left", told),
        section("The plan up to now: `[x]` is done and stays", bullets(list(request.steps))),
        section("Where it stands", bullets(list(request.scoreboard))),
        section("Tried before", describe_tries(request.tries)),
    ]
    return "\n" + "\n".join(part for part in parts if part)
