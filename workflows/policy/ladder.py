"""The recovery ladder: what a session tries when it is stuck, one rung after another, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.contracts.requests import Try
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import MAX_RUNGS, RungRecord, SessionState, Task
from workflows.policy import advice, tries
from workflows.policy.record import one_line
from workflows.policy.stuck import STUCK

HELPED = "helped"


@dataclass(frozen=True)
class Rung:
    """One way to go on."""

    name: str
    title: str
    """For people."""
    strategy: str = ""
    """In a person's words, where they gave one."""


FIX = Rung("fix", "diagnose and fix")
FRESH = Rung("fresh", "fresh context with the dead ends")
BEST = Rung("best", "best checkpoint, another approach")
REPLAN = Rung("replan", "plan what is left anew")
PARALLEL = Rung("parallel", "several approaches in parallel")
PERSON = Rung("person", "pause for a person")
OWN = (FIX, FRESH, BEST, REPLAN, PARALLEL)
GIVEN = "given"
"""Name of the rungs that a person put into words."""


LEAVING = (BEST, REPLAN, PARALLEL, PERSON)
"""Rungs on which a session leaves the way that it went."""


def ladder(spec: SessionSpec, state: SessionState) -> list[Rung]:
    """The rungs, lowest first: those that the person chose, Overnight's own by their record here, then the person."""
    own = {rung.name: rung for rung in OWN}
    first = [
        own.pop(said.lower()) if said.lower() in own else _given(said)
        for said in dict.fromkeys(spec.recovery_strategies)
    ]
    return [*first, *(own[name] for name in advice.order(list(own), state.knowledge.rungs)), PERSON]


def _given(said: str) -> Rung:
    return Rung(GIVEN, one_line(f"the person's strategy: {said}", 120), said)


def standing(spec: SessionSpec, state: SessionState) -> Rung | None:
    """The rung that the session is on; None on the ground, where nothing fails or nothing was tried yet."""
    rungs = ladder(spec, state)
    return rungs[min(state.rung, len(rungs)) - 1] if state.rung else None


def shown(spec: SessionSpec, state: SessionState) -> str:
    """The rung for people, ``3/6: best checkpoint, another approach``; empty on the ground."""
    rung, most = standing(spec, state), len(ladder(spec, state))
    return f"{min(state.rung, most)}/{most}: {rung.title}" if rung else ""


def climb(spec: SessionSpec, state: SessionState, why: str) -> Rung:
    """Step on the next rung: the one below did not help. What is judged from here on begins with where it stands."""
    _leave(spec, state, why)
    rungs = ladder(spec, state)
    state.rung = min(state.rung + 1, len(rungs))
    rung = rungs[state.rung - 1]
    _record(state, rung)
    state.trail = [t.model_copy(update={"alike": 0}) for t in state.trail[-1:]]
    state.idle = state.falls = 0
    tries.drop(state, "another way was taken")
    state.strategy = rung.strategy or state.strategy
    if rung in LEAVING:
        advice.left_behind(state)
    return rung


def _leave(spec: SessionSpec, state: SessionState, why: str) -> None:
    """The rung that the session stands on did not help, nor did the strategy that came with it: a dead end."""
    _conclude(state, f"{tries.DEAD}: {why}")
    rung = standing(spec, state)
    if rung is None or rung.name not in {GIVEN, BEST.name} or not state.strategy:
        return
    result = one_line(f"{tries.DEAD}: {why}", 120)
    tries.add(state, Try(iteration=state.iteration, root_cause=rung.title, fix=state.strategy, result=result))
    state.strategy = ""


def diagnosing(spec: SessionSpec, state: SessionState) -> bool:
    """Whether what fails is to be diagnosed; from the ground, only where that is the lowest rung: it steps on it."""
    if state.rung:
        return True
    if ladder(spec, state)[0] is not FIX:
        return False
    state.rung = 1
    _record(state, FIX)
    return True


def rose(state: SessionState) -> None:
    """The session got further: the rung that it stands on helped, and the next trouble begins at the ground."""
    _conclude(state, f"{HELPED}: {sum(s.met for s in state.scores)} of {len(state.criteria)} criteria met")
    state.rung = 0


def given_up(state: SessionState, why: str) -> str:
    """What a person is told who is asked for help."""
    diagnosed = next((t for t in reversed(state.tries) if t.failure is not None), None)
    cause = f"; last diagnosis: {diagnosed.root_cause}" if diagnosed else ""
    return f"{STUCK}: {why}; no rung of the ladder helped{cause}"


def begin_anew(state: SessionState) -> None:
    """A person lets a session go on that asked for help, or put it elsewhere: the ladder begins at the ground."""
    _conclude(state, "a person took over")
    state.rung = 0
    state.idle = state.falls = state.returns = 0
    state.trail = []


def task(state: SessionState, rung: Rung) -> Task | None:
    """What the next execute is to do on a rung; None where the plan or a diagnosis says it."""
    told = {
        GIVEN: "What fails is described below. The person who gave the goal wants this tried first, in their words: "
        f"{rung.strategy}",
        FRESH.name: "Nothing that was tried has helped: the dead ends are below. Start from the failing checks and the "
        "code, not from earlier explanations: reproduce the failure, find its cause yourself, and mend it in a way "
        "that is not on the list of dead ends.",
        BEST.name: "The workspace is back at the checkpoint that got furthest; what came after it is undone. Go on "
        "from here by the strategy below, with an approach that differs from the dead ends in substance.",
    }.get(rung.name)
    if told is None:
        return None
    return Task(
        kind="recover",
        step=f"recover-{state.iteration}-{rung.name}",
        title=one_line(f"recover: {rung.title}", 120),
        instructions=told,
    )


def _record(state: SessionState, rung: Rung) -> None:
    added = RungRecord(name=rung.name, title=rung.title, iteration=state.iteration)
    kept = state.rungs
    if rung == FIX and kept and kept[-1].name == FIX.name and kept[-1].result.startswith(HELPED):
        # One fix after another that helps is how work goes: it leaves room for what is worth remembering.
        kept = kept[:-1]
    state.rungs = [*kept, added][-MAX_RUNGS:]


def _conclude(state: SessionState, result: str) -> None:
    """Write beside the rung that is being tried what came of it."""
    if state.rung and state.rungs and not state.rungs[-1].result:
        last = state.rungs[-1].model_copy(update={"result": one_line(result, 120)})
        state.rungs = [*state.rungs[:-1], last]
