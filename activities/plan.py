"""plan: import the project and make a plan."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from activities.asking import consult, report
from activities.attempt import Attempt, attend
from activities.host import Host
from activities.prompts import bullets, render, section
from activities.workspace import ProjectError
from workflows.contracts.answers import PlanAnswer
from workflows.contracts.outcome import Outcome
from workflows.contracts.requests import PlanRequest, PlanResult
from workflows.policy.criteria import plan_from


@dataclass(frozen=True)
class Plan:
    host: Host

    @activity.defn(name="plan")
    async def run(self, request: PlanRequest) -> PlanResult:
        """The session's base commit and its plan. A retry is a new call on the same base."""
        return await attend(self.host, lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: PlanRequest) -> PlanResult:
        try:
            base = await self.host.base(request.site)
        except ProjectError as error:
            return PlanResult(outcome=Outcome.WORKSPACE, detail=str(error))
        told = await consult(
            self.host,
            attempt,
            request.site,
            commit=base,
            role="plan",
            phase="plan",
            prompt=render("plan", goal=request.goal, given=_given(request)),
            allowance=request.allowance,
            answer=PlanAnswer,
        )
        plan = None
        if isinstance(told.answer, PlanAnswer):
            plan = plan_from(told.answer, request)
        return report(PlanResult, told, self.host, request.site, base=base, plan=plan)


def _given(request: PlanRequest) -> str:
    """What the person fixed already."""
    criteria = [f"The command `{request.validation_command}` passes."] if request.validation_command else []
    criteria += request.success_criteria
    parts = [
        section("Criteria given by the person", bullets(criteria)),
        section("Setup command given by the person", f"`{request.setup_command}`" if request.setup_command else ""),
        section("Guidance of the person", bullets(list(request.guidance))),
    ]
    return "\n".join(part for part in parts if part)
