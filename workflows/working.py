"""The verbs that every piece of work is made of: execute, validate, judge."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows import calls
    from workflows.contracts.evidence import Scorecard
    from workflows.contracts.outcome import Outcome
    from workflows.contracts.requests import ValidateResult
    from workflows.contracts.state import Status, Task
    from workflows.policy import asks, criteria, failures, inbox, record, tamper, tasks
    from workflows.policy.failures import Reaction
    from workflows.policy.record import EventKind

from workflows.heard import Heard


class Working(Heard):
    """A workflow that works on a tree of its own, and holds it to the criteria."""

    threshold: float

    async def execute(self, task: Task) -> None:
        """One task. Interrupted, it goes on where it was, with what came in meanwhile; its work is always kept."""
        self.state.iteration += 1
        # What it is to do travels with the request; the state remembers which task it was.
        self.state.task = task.model_copy(update={"instructions": ""})
        failed = 0
        while True:
            await self.gate()
            self.show("execute", Status.RUNNING, "")
            carried = inbox.waiting_guidance(self.state)
            result = await self.attend(calls.execute(asks.execute(self.spec, self.state, task)), steerable=True)
            record.charge(self.state, "execute", result)
            tasks.advance(self.state, result)
            for text in tamper.put_back(self.state, result):
                self.note("note", text)
            inbox.deliver_guidance(self.state, workflow.now(), carried if result.usage.responses else [])
            kind: EventKind = "note" if result.checkpoint is None else "checkpoint"
            self.note(kind, f"#{self.state.iteration} {task.title}: {tasks.outcome_line(result)}")
            reaction = self.react("execute", result)
            failed += reaction is Reaction.START_AFRESH
            if reaction in failures.ENDS_EXECUTE or failed >= failures.MAX_ATTEMPTS:
                break
        tasks.conclude(self.state, result)

    async def validate(self) -> bool:
        """Run the commands on the checkpoint; whether they all hold."""
        result = await self.owed(
            "validate", lambda: calls.validate(asks.validate(self.spec, self.state)), ran, spends=False
        )
        card = self.card(result)
        self.score(card)
        return criteria.commands_hold(self.state.criteria, card, self.threshold)

    async def judge(self) -> bool:
        """Verdicts on what no command decides; whether everything holds. A judge that is down means: not yet."""
        result = await self.owed(
            "judge", lambda: calls.judge(asks.judge(self.spec, self.state)), lambda r: bool(r.verdicts)
        )
        card = (self.state.card or asks.new_card(self.state)).model_copy(update={"verdicts": result.verdicts})
        criteria.score(self.state, card, self.threshold)
        return criteria.all_hold(self.state.criteria, card, self.threshold)

    def card(self, result: ValidateResult) -> Scorecard:
        """What commands showed, as evidence on the commit that the work stands on; tampering is on record."""
        for text in tamper.noticed(self.state, result):
            self.note("note", text)
        return asks.new_card(self.state).model_copy(
            update={
                "commands": result.evidence,
                "setup": result.setup,
                "tampering": result.tampering,
                "noticed": result.noticed,
            }
        )

    def score(self, card: Scorecard) -> None:
        """Take over what commands showed; a test suite without tests is on record."""
        for flagged in criteria.flag_untested(self.state, card):
            self.note("note", f"{flagged} {criteria.untested(card, flagged)}")
        criteria.score(self.state, card, self.threshold)


def ran(result: ValidateResult) -> bool:
    """Whether the commands were observed at all."""
    return result.outcome is Outcome.COMPLETED
