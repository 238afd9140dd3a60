"""What activities are asked, built from what the session knows: one function per request."""

from __future__ import annotations

from workflows.contracts.applied import Given
from workflows.contracts.evidence import Scorecard
from workflows.contracts.requests import (
    MAX_HISTORY,
    DiagnoseRequest,
    ExecuteRequest,
    ForkRequest,
    HeldOutCheck,
    JudgeRequest,
    PlanRequest,
    ReflectRequest,
    RestoreRequest,
    Site,
    ValidateRequest,
)
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import Best, SessionState, Task
from workflows.policy import advice, criteria, steps, tamper, tasks, tries, view
from workflows.policy.limits import allowance
from workflows.policy.record import one_line

RESTORE = "restore"
"""How the step of a commit is named that goes back to an earlier tree."""


def head(state: SessionState) -> str:
    """The commit that the session stands on, once it has a plan."""
    commit = state.checkpoint.commit if state.checkpoint else state.base
    if commit is None:
        raise ValueError("the session has no base commit before its plan")
    return commit


def new_card(state: SessionState) -> Scorecard:
    """No evidence yet on the commit that the session stands on."""
    return Scorecard(commit=head(state))


def plan(spec: SessionSpec, state: SessionState, given: Given) -> PlanRequest:
    return PlanRequest(
        site=_site(spec, state, state.base),
        allowance=allowance(spec, state, "plan"),
        goal=spec.goal,
        validation_command=spec.validation_command,
        setup_command=spec.setup_command,
        success_criteria=spec.success_criteria,
        guidance=[g.text for g in state.guidance],
        rejected=[step.title for step in state.plan.steps] if state.plan else [],
        protected_paths=spec.protected_paths,
        may_change=spec.may_change,
        held_out=spec.held_out,
        given=given,
    )


def replan(spec: SessionSpec, state: SessionState, why: str, given: Given) -> PlanRequest:
    """New steps for what is left; the criteria stay as they are."""
    return plan(spec, state, given).model_copy(
        update={
            "site": _site(spec, state, head(state)),
            "why": one_line(why),
            # Nobody rejected the steps, and held-out checks are there already.
            "rejected": [],
            "held_out": None,
            "steps": steps.told(state),
            "scoreboard": _scoreboard(state),
            "tries": state.tries,
        }
    )


def restore(
    spec: SessionSpec, state: SessionState, *, to: str | None = None, iteration: int | None = None
) -> RestoreRequest:
    """Back to a commit, or to an iteration's checkpoint."""
    where = f"iteration {iteration}" if to is None else f"the best checkpoint {to[:10]}"
    return RestoreRequest(
        site=_site(spec, state, head(state)),
        to=to,
        iteration=iteration,
        base=state.base or head(state),
        step=f"{RESTORE}-{state.iteration}",
        subject=f"Go back to {where}",
    )


def execute(spec: SessionSpec, state: SessionState, task: Task) -> ExecuteRequest:
    return ExecuteRequest(
        site=_site(spec, state, head(state)),
        allowance=allowance(spec, state, "execute"),
        step=task.step,
        subject=task.title,
        brief=tasks.brief(spec, state, task),
        conversation=state.conversation,
        guard=tamper.guard(spec, state),
    )


def validate(spec: SessionSpec, state: SessionState, *, clean: bool = False) -> ValidateRequest:
    return ValidateRequest(
        site=_site(spec, state, head(state)),
        checks=criteria.checks(state.criteria),
        setup_command=criteria.setup_command(spec, state),
        base=state.base,
        clean=clean,
        threshold=spec.success_threshold,
        passes=criteria.passes(state) if clean else 1,
        quick_passes=criteria.QUICK_PASSES if clean else 1,
        quick_seconds=criteria.quick_seconds(state),
        guard=tamper.guard(spec, state),
        known_tests=state.known_tests,
        returned=state.checkpoint is not None and state.checkpoint.returned,
    )


def held_out(spec: SessionSpec, state: SessionState) -> ValidateRequest | None:
    """The held-out checks, where there are some."""
    if spec.held_out is None or state.held_out is None:
        return None
    given = spec.held_out
    check = HeldOutCheck(files=state.held_out, command=given.command, target=given.target, tells=given.tells)
    return validate(spec, state, clean=True).model_copy(update={"checks": [], "base": None, "held_out": check})


def judge(spec: SessionSpec, state: SessionState) -> JudgeRequest:
    return JudgeRequest(
        site=_site(spec, state, head(state)),
        allowance=allowance(spec, state, "judge"),
        goal=spec.goal,
        base=state.base or head(state),
        criteria=criteria.judged(state.criteria),
        evidence=state.card.commands if state.card else [],
        noticed=state.card.noticed if state.card else [],
    )


def diagnose(spec: SessionSpec, state: SessionState, given: Given) -> DiagnoseRequest:
    return DiagnoseRequest(
        site=_site(spec, state, head(state)),
        allowance=allowance(spec, state, "diagnose"),
        goal=spec.goal,
        failures=criteria.failures(spec, state),
        tries=state.tries,
        failure=tries.failing(state),
        put_back=[tamper.in_words(found) for found in state.put_back],
        parent=state.checkpoint.parent if state.checkpoint else head(state),
        given=given,
    )


def fork(spec: SessionSpec, state: SessionState, sessions: list[str]) -> ForkRequest:
    """A branch for each approach, at the commit that the session stands on."""
    return ForkRequest(site=_site(spec, state, head(state)), commit=head(state), sessions=sessions)


def adopt(spec: SessionSpec, state: SessionState, won: Best) -> RestoreRequest:
    """The tree of the approach that won, as the session's next checkpoint."""
    return restore(spec, state, to=won.commit).model_copy(
        update={"step": f"approach-{state.iteration}", "subject": f"Take the best approach, {won.commit[:10]}"}
    )


def reflect(spec: SessionSpec, state: SessionState, why: str, *, approaches: int = 0) -> ReflectRequest:
    return ReflectRequest(
        site=_site(spec, state, head(state)),
        allowance=allowance(spec, state, "reflect"),
        goal=spec.goal,
        strategy=state.strategy,
        why=why,
        steps=steps.told(state),
        guidance=[g.text for g in state.guidance],
        approaches=approaches,
        scoreboard=_scoreboard(state),
        tries=state.tries,
        # Words of earlier sessions stand in prompts between tags only.
        history=[f"#{e.seq} {e.kind}: {e.text}" for e in state.events if not advice.is_about(e.text)][-MAX_HISTORY:],
    )


def _scoreboard(state: SessionState) -> list[str]:
    return [one_line(f"{c.id}: {c.description}: {view.evidence_of(state, c.id)}") for c in state.criteria]


def _site(spec: SessionSpec, state: SessionState, commit: str | None) -> Site:
    return Site(
        session_id=spec.session_id,
        project=spec.project,
        commit=commit,
        iteration=state.iteration,
        egress=spec.egress,
        held_out=spec.held_out.source if spec.held_out and spec.held_out.kind == "folder" else None,
        unsettled=state.unsettled,
    )
