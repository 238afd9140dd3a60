"""Waiting for a person's approval, durably, and taking it: iterative mode's part of a session."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows.contracts.approvals import Approve, PlanView, Reject, Subject
    from workflows.contracts.state import Status
    from workflows.contracts.status import SessionStatus
    from workflows.policy import approvals, inbox, view

from workflows.gated import Gated, SessionOverError


class Approving(Gated):
    """A session whose plan and iterations wait for a person's approval, where its mode says so."""

    async def approved(self, subject: Subject) -> bool:
        """Whether what waits is approved, once somebody says so; where nothing waits it is. A final no ends it all."""
        while approvals.is_open(self.state, subject):
            await self._wait_for_answer()
        said = approvals.take(self.state, subject)
        if said is not None and said.answer == "ended":
            raise SessionOverError(Status.FAILED, approvals.why_ended(said))
        return said is None or said.answer == "approved"

    async def _wait_for_answer(self) -> None:
        """Until somebody answers, the time-out does, or something else is to be seen to first: no slot is held."""
        state, held = self.state, self.state.paused_by is not None
        await self.gate(spends=False)
        if approvals.answered(state) or state.approval is None:
            return
        approvals.start_clock(self.spec, state, workflow.now(), anew=held)
        self.show(status=Status.WAITING_APPROVAL, reason=approvals.reason(state))
        until = state.approval.until
        longest = max(timedelta(0), until - workflow.now()) if until else None

        def moved() -> bool:
            called = any(x is not None for x in (state.paused_by, state.cancelled_by, state.rollback))
            return approvals.answered(state) or called or self.continue_as_new_is_due()

        if not await self.until(moved, longest):
            if unanswered := approvals.time_out(self.spec, state, workflow.now()):
                self.hold(unanswered)
        elif not approvals.answered(state):
            await self.continue_as_new_when_due()

    # ------------------------------------------------------------------ answers

    @workflow.update(description='{"request": what waits, "by": who you are}; optionally "plan": {"steps": [...]}')
    def approve(self, message: Approve) -> SessionStatus:
        if inbox.is_new(self.state, message):
            approvals.approve(self.state, workflow.now(), message)
        return self._seen()

    @approve.validator
    def _check_approve(self, message: Approve) -> None:
        self._check(message)

    @workflow.update(description='{"request": what waits, "reason": "...", "by": who you are}; "end": true ends it')
    def reject(self, message: Reject) -> SessionStatus:
        if inbox.is_new(self.state, message):
            approvals.reject(self.state, workflow.now(), message)
        return self._seen()

    @reject.validator
    def _check_reject(self, message: Reject) -> None:
        self._check(message)

    @workflow.query(name="plan", description="the plan in full, as it can be edited")
    def plan_in_full(self) -> PlanView:
        return approvals.plan_view(self.spec, self.state)

    def _check(self, message: Approve | Reject) -> None:
        if self.state.status.is_final:
            raise ApplicationError(f"the session is over ({self.state.status.value}); start a new one", type="Closed")
        if why := approvals.refusal(self.state, message):
            raise ApplicationError(why, type="Invalid")

    def _seen(self) -> SessionStatus:
        self.show_details()
        return view.status(self.spec, self.state, workflow.now())
