"""Children of a session that run side by side: started, told what the session is told, and awaited, all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowHandle

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows.contracts.messages import Cancel, Message
    from workflows.contracts.state import SessionStart, SessionState, Status, StepResult
    from workflows.policy import approaches, record
    from workflows.policy.words import counted

from workflows.step import PlanStep
from workflows.working import Working

Child = ChildWorkflowHandle[PlanStep, StepResult]


class SideBySide(Working):
    """A workflow that may try several approaches at once."""

    async def try_all(self, starts: Sequence[SessionStart]) -> list[SessionState]:
        """How far each approach came. What holds one up is waited for at the session's own gate, all at rest."""
        ended: dict[str, SessionState] = {}
        open_ = list(starts)
        while open_:
            await self.gate()
            count = counted(len(open_), "approach", "approaches")
            self.show("execute", Status.RUNNING, f"{count} side by side, each on a branch of its own")
            results = await self._round(open_)
            approaches.charge(self.state, [r.state for r in results])
            ended |= {s.spec.session_id: r.state for s, r in zip(open_, results, strict=True)}
            rested = [(s, r.state) for s, r in zip(open_, results, strict=True) if not r.over]
            self._take_over([state for _, state in rested])
            open_ = [approaches.go_on(start, state, self.state) for start, state in rested]
        return [ended[start.spec.session_id] for start in starts]

    def _take_over(self, rested: Sequence[SessionState]) -> None:
        """What holds up an approach holds up the session."""
        holding, state = approaches.held_up_by(rested), self.state
        if holding is None:
            return
        if holding.paused_by is not None:
            self.hold(holding.paused_by)
        elif holding.wait_until is not None:
            state.wait_until, state.wait_reason, state.waits = holding.wait_until, holding.wait_reason, holding.waits
            record.event(state, workflow.now(), "limit", state.wait_reason)

    async def _round(self, starts: Sequence[SessionStart]) -> list[StepResult]:
        """Run them until each has ended or is at rest; messages and a cancel reach those that run."""
        running: dict[str, Child] = {}
        works = {start.spec.session_id: asyncio.create_task(self._one(start, running)) for start in starts}
        self.outbox, told = [], [False]

        def ended() -> bool:
            return all(work.done() for work in works.values())

        def ending() -> bool:
            return self.state.cancelled_by is not None and not told[0]

        def there() -> bool:
            return all(work.done() or session_id in running for session_id, work in works.items())

        while not ended():
            await self.until(lambda: ended() or (there() and (bool(self.outbox) or ending())))
            if ending():
                told[0] = True
                self.outbox.append(("cancel", Cancel(reason=self.state.cancelled_by or "")))
            news, self.outbox = self.outbox, []
            telling = asyncio.create_task(_tell(list(running.values()), news))
            while not telling.done():
                await self.until(telling.done)
        self.outbox = None
        return [work.result() for work in works.values()]

    async def _one(self, start: SessionStart, running: dict[str, Child]) -> StepResult:
        """One approach to its end. One that somebody ended in Temporal itself came no further than its start."""
        try:
            child = await workflow.start_child_workflow(
                PlanStep.run,
                start,
                id=start.spec.session_id,
                static_summary=record.one_line(start.state.strategy if start.state else "", 180),
            )
            running[start.spec.session_id] = child
            return await child
        except (ChildWorkflowError, WorkflowAlreadyStartedError):
            return StepResult(over=True, state=start.state or SessionState(limits=start.spec.limits))


async def _tell(children: Sequence[Child], news: Sequence[tuple[str, Message]]) -> None:
    """Send messages to children; who has ended meanwhile needs none."""
    for name, message in news:
        for child in children:
            if not child.done():
                with suppress(FailureError):
                    await child.signal(name, message)
