"""What a session does about what is not met: diagnose, return to the best checkpoint, climb the recovery ladder."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows import calls
    from workflows.contracts.outcome import Outcome
    from workflows.contracts.state import Best
    from workflows.policy import advice, approaches, asks, best, ladder, steps, stuck, tasks, tries, view
    from workflows.policy.words import counted

from workflows.knowing import Knowing
from workflows.side_by_side import SideBySide


class Recovering(SideBySide, Knowing):
    """A workflow that does not give up before every rung of its ladder was tried."""

    async def recover(self) -> None:
        """After an iteration that did not succeed: back from a regression, up the ladder when stuck, or a diagnosis."""
        state = self.state
        await self.tell_what_helped()
        if (fallen := best.fallen_from(state)) is not None:
            again = state.returns > 0
            await self.go_back(fallen, f"below the best of #{fallen.iteration} twice in a row")
            if again:
                await self.climb("below the best again after a return to it")
        elif what := stuck.stuck(state):
            await self.climb(what)
        elif tasks.diagnosis_due(self.spec, state):
            if ladder.diagnosing(self.spec, state):
                await self.diagnose()
            else:
                await self.climb("something is not met")

    async def diagnose(self) -> None:
        """Root cause of what is not met, and a fix that is not on record; without an answer the plan goes on."""
        given = await self.recall_for_diagnosis()
        result = await self.ask("diagnose", lambda: calls.diagnose(asks.diagnose(self.spec, self.state, given)))
        if result.diagnosis is None:
            advice.dropped(self.state)
            return
        known = tries.repeated(result.diagnosis, self.state.tries, tries.failing(self.state))
        if known is not None:
            await self.climb(f"the diagnosis only repeats what #{known.iteration} tried")
            return
        tries.remember(self.spec, self.state, result.diagnosis)
        self.state.fix = tasks.fix_task(result.diagnosis, self.state.iteration)
        self.note("phase", f"diagnosed: {result.diagnosis.root_cause}")

    async def reflect(self, why: str) -> None:
        """Keep strategy and steps or change them."""
        carried = steps.guidance_ids(self.state)
        result = await self.ask("reflect", lambda: calls.reflect(asks.reflect(self.spec, self.state, why)))
        changed = stuck.reflected(self.state, result.reflection)
        text = f"new strategy: {self.state.strategy}" if changed else "the strategy stays"
        self.note("phase", f"reflected ({why}): {text}")
        steps.weigh(self.state, carried)
        if changes := steps.adapt(self.state, why, result.reflection):
            self.note("phase", f"the plan has changed: {changes}")

    async def climb(self, why: str) -> None:
        """One rung up: the one below did not help. The last is a person."""
        rung = ladder.climb(self.spec, self.state, why)
        self.note("phase", f"recovery {ladder.shown(self.spec, self.state)} ({why})")
        if rung == ladder.FIX:
            await self.diagnose()
        elif rung == ladder.PERSON:
            self.hold(ladder.given_up(self.state, why))
        else:
            if rung == ladder.BEST:
                await self.return_to_best()
                await self.reflect(f"{stuck.STUCK}: {why}")
            elif rung == ladder.REPLAN:
                await self.replan(why)
            elif rung == ladder.PARALLEL and not await self.try_approaches(why):
                await self.climb(f"{why}, and no approach got further")
                return
            self.state.fix = ladder.task(self.state, rung)

    async def return_to_best(self) -> None:
        """Stand on the tree that got furthest."""
        target = self.state.best
        if target is not None and not best.stands_on_best(self.state):
            await self.go_back(target, "another approach begins at the best checkpoint")

    async def go_back(self, to: Best, why: str) -> None:
        """One more commit, with an earlier tree; what is validated next is that commit."""
        result = await self.owed(
            "integrate",
            lambda: calls.restore(asks.restore(self.spec, self.state, to=to.commit)),
            lambda r: r.checkpoint is not None,
            spends=False,
        )
        best.take_back(self.state, result.checkpoint, to.iteration, why)
        self.note("checkpoint", f"went back to #{to.iteration}, commit {to.commit[:10]}: {why}")

    async def replan(self, why: str) -> None:
        """New steps for what is left; criteria stay as they are. Without an answer the old plan goes on."""
        given = await self.recall_for_plan()
        carried = steps.guidance_ids(self.state)
        result = await self.ask("plan", lambda: calls.plan(asks.replan(self.spec, self.state, why, given)))
        if result.plan is None:
            return
        steps.weigh(self.state, carried)
        changes = steps.replan(self.state, why, result.plan)
        to_do = counted(len(steps.pending(self.state.plan)), "step")
        self.note("phase", f"planned anew: {to_do} to be done ({changes or 'the same'})")

    async def try_approaches(self, why: str) -> bool:
        """Several approaches at once from the best checkpoint; whether one got further, which is then the session's."""
        await self.return_to_best()
        if best.moved(self.state):
            await self.validate()
        await self.gate(starting_iteration=True, leaves=False)
        wanted = approaches.WANTED
        result = await self.ask(
            "reflect",
            lambda: calls.reflect(asks.reflect(self.spec, self.state, f"{stuck.STUCK}: {why}", approaches=wanted)),
        )
        texts = approaches.named(result.reflection)
        if not texts:
            return False
        starts = approaches.prepare(self.spec, self.state, texts)
        await self.owed(
            "integrate",
            lambda: calls.fork(asks.fork(self.spec, self.state, [s.spec.session_id for s in starts])),
            lambda r: r.outcome is Outcome.COMPLETED,
            spends=False,
        )
        for start, text in zip(starts, texts, strict=True):
            self.note("phase", f"approach on {view.branch(start.spec.session_id)}: {text}")
        won = approaches.conclude(self.state, texts, starts, await self.try_all(starts))
        if won is None:
            return False
        adopted = await self.owed(
            "integrate",
            lambda: calls.restore(asks.adopt(self.spec, self.state, won)),
            lambda r: r.checkpoint is not None,
            spends=False,
        )
        self.state.checkpoint = adopted.checkpoint
        approaches.adopted(self.state, won)
        self.note("checkpoint", f"took over the approach at {won.commit[:10]}: {won.mark.met} criteria met")
        return True
