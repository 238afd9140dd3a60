"""reflect: keep the strategy or change it."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from activities.asking import consult, describe_tries, report
from activities.attempt import Attempt, attend
from activities.host import Host
from activities.prompts import bullets, render, section
from workflows.contracts.answers import ReflectionAnswer
from workflows.contracts.requests import ReflectRequest, ReflectResult


@dataclass(frozen=True)
class Reflect:
    host: Host

    @activity.defn(name="reflect")
    async def run(self, request: ReflectRequest) -> ReflectResult:
        """What the session's own record says about its strategy. A retry is a new call."""
        return await attend(self.host, lambda attempt: self._work(attempt, request))

    async def _work(self, attempt: Attempt, request: ReflectRequest) -> ReflectResult:
        told = await consult(
            self.host,
            attempt,
            request.site,
            commit=await self.host.base(request.site),
            role="reflect",
            phase="reflect",
            prompt=render(
                "reflect",
                why=request.why,
                goal=request.goal,
                steps=section("The plan", bullets(list(request.steps))),
                guidance=section("Guidance of the person", bullets(list(request.guidance))),
                scoreboard=bullets(list(request.scoreboard)),
                strategy=section("The strategy up to now", request.strategy),
                tries=section("Tried before", describe_tries(request.tries)),
                history=bullets(list(request.history)),
                approaches=_several(request.approaches),
            ),
            allowance=request.allowance,
            answer=ReflectionAnswer,
        )
        reflection = told.answer if isinstance(told.answer, ReflectionAnswer) else None
        return report(ReflectResult, told, self.host, request.site, reflection=reflection)


def _several(wanted: int) -> str:
    if not wanted:
        return ""
    return (
        f"\nName {wanted} approaches to what is unmet as well. They are tried at once, each by an engineer in a fresh"
        " context and a workspace of their own at the best checkpoint, and the one that gets furthest is kept: so they"
        " must differ in substance from each other and from what was tried."
    )
