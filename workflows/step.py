"""PlanStep: one approach in a worktree of its own, on a branch of its own, as a child of its session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows.contracts.state import SessionStart, SessionState, StepResult
    from workflows.policy import best, stuck, tasks

from workflows.gated import SessionOverError
from workflows.working import Working


class HeldUpError(Exception):
    """Something keeps the approach from going on now: its session decides when it does."""


@workflow.defn(name="PlanStep")
class PlanStep(Working):
    """A few executes with their validations, until every criterion is met, nothing moves, or its share is spent.

    It never waits: a pause, a usage limit, a service that is down end it with how far it came, and its session starts
    it again from there. So whatever holds up a session holds up its approaches, and nothing of them runs meanwhile.
    """

    @workflow.init
    def __init__(self, start: SessionStart) -> None:
        super().__init__()
        self.spec = start.spec
        self.state = start.state or SessionState(limits=start.spec.limits)
        self.threshold = start.spec.success_threshold

    @workflow.run
    async def run(self, start: SessionStart) -> StepResult:
        try:
            while True:
                await self.gate(starting_iteration=True)
                if self.state.conversation is not None or not best.moved(self.state):
                    await self.execute(tasks.next_task(self.state))
                succeeded = await self.validate() and await self.judge()
                tasks.settle(*self.known)
                if succeeded or stuck.stuck(self.state):
                    break
        except HeldUpError:
            return StepResult(over=False, state=self.state)
        except SessionOverError as over:
            self.note("end", over.reason)
        return StepResult(over=True, state=self.state)

    async def _rest(self, over: Callable[[], bool], until: datetime | None = None, *, at_boundary: bool) -> None:
        raise HeldUpError

    def continue_as_new_is_due(self) -> bool:
        return False

    async def continue_as_new_when_due(self) -> None:
        """Never: its few iterations fit in one history, and its session is its memory."""
