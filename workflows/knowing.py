"""What a session takes from earlier ones, and leaves to the next. It goes on all the same where the store is away."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows import calls
    from workflows.calls import K, Light
    from workflows.contracts.applied import Given, Known, RecallAsked
    from workflows.contracts.knowledge import LearnRequest, LearnResult
    from workflows.contracts.state import Status
    from workflows.policy import advice, learning
    from workflows.policy.record import one_line

from workflows.gated import OWNER, Gated

AWAY = "the store of knowledge is away"


class Knowing(Gated):
    """A workflow that recalls before it plans and diagnoses, and learns at its end."""

    async def recall_for_plan(self) -> Given:
        """What may help with the goal, put on record."""
        if self.state.plan is None:
            self.show("recall", Status.RUNNING, "")
        return self._taken(advice.for_plan(self.state, await self._recalled(advice.about_goal(*self.known[:2]))))

    async def recall_for_diagnosis(self) -> Given:
        """What may help with the failure that is to be diagnosed, put on record."""
        asked = advice.about_failure(self.spec, self.state)
        if asked is None:
            return Given()
        return self._taken(advice.for_diagnosis(self.spec, self.state, await self._recalled(asked)))

    async def tell_what_helped(self) -> None:
        """What came of advice is known to other sessions at once, not at the end of this one."""
        feedback = advice.untold(self.state)
        if feedback:
            request = LearnRequest(session_id=self.spec.session_id, project=self.spec.project.key, feedback=feedback)
            await self._kept(request)

    async def learn(self, status: Status, reason: str) -> None:
        """Keep what the session teaches that ends as ``status``, failed ones too. It holds up the end by seconds."""
        advice.ended(self.state, status)
        request = learning.request(self.spec.goal, learning.lessons(self.spec, self.state, status))
        if not request.learnings and not request.feedback:
            return
        self.show("learn", Status.RUNNING, f"ends as {status.value}: {reason}")
        kept = await self._kept(request, hurry=status is Status.CANCELLED)
        self.state.knowledge.kept = None if kept.problem else len(kept.saved)

    async def _recalled(self, asked: RecallAsked) -> Known:
        known = await self._light(calls.recall(asked)) or Known(problem=AWAY)
        if known.problem:
            self._away(known.problem)
        owned = workflow.info().typed_search_attributes.get(OWNER) is not None
        return advice.of_nobody(known) if owned else known

    async def _kept(self, request: LearnRequest, *, hurry: bool = False) -> LearnResult:
        kept = await self._light(calls.learn(request, hurry=hurry)) or LearnResult(problem=AWAY)
        if kept.problem:
            self._away(kept.problem)
        else:
            self.state.knowledge.away = ""
            advice.told(self.state, request.feedback)
        return kept

    def _taken(self, given: Given) -> Given:
        for text in advice.giving(given):
            self.note("note", text)
        return given

    def _away(self, why: str) -> None:
        if self.state.knowledge.away != one_line(why, 120):
            self.state.knowledge.away = one_line(why, 120)
            self.note("note", f"{advice.ABOUT}: {why}")

    async def _light(self, call: Light[K]) -> K | None:
        """The answer, or None where there is none in time, or a person cancels meanwhile."""
        handle, before = call.start(), self.state.cancelled_by
        await self.until(lambda: handle.done() or self.state.cancelled_by != before)
        if not handle.done():
            handle.cancel()
        while not handle.done():
            await self.until(handle.done)
        try:
            return await handle
        except (ActivityError, asyncio.CancelledError):
            return None
