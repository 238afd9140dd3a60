"""What activities are asked, built from what the session knows: one function per request."""

from __future__ import annotations

from workflows.contracts.evidence import Scorecard
from workflows.contracts.requests import (
    MAX_HISTORY,
    DiagnoseRequest,
    ExecuteRequest,
    JudgeRequest,
    PlanRequest,
    ReflectRequest,
    Site,
    ValidateRequest,
)
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionState, Task
from workflows.policy import criteria, tasks, view
from workflows.policy.limits import allowance


def head(state: SessionState) -> str:
    """The commit that the session stands on, once it has a plan."""
    commit = state.checkpoint.commit if state.checkpoint else state.base
    if commit is None:
        raise ValueError("the session has no base commit before its plan")
    return commit


def new_card(state: SessionState) -> Scorecard:
    """No evidence yet on the commit that the session stands on."""
    return Scorecard(commit=head(state))


def plan(spec: SessionSpec, state: SessionState) -> PlanRequest:
    return PlanRequest(
        site=_site(spec, state, state.base),
        allowance=allowance(spec, state, "plan"),
        goal=spec.goal,
        validation_command=spec.validation_command,
        setup_command=spec.setup_command,
        success_criteria=spec.success_criteria,
        guidance=[g.text for g in state.guidance],
    )


def execute(spec: SessionSpec, state: SessionState, task: Task) -> ExecuteRequest:
    return ExecuteRequest(
        site=_site(spec, state, head(state)),
        allowance=allowance(spec, state, "execute"),
        step=task.step,
        subject=task.title,
        brief=tasks.brief(spec, state, task),
        conversation=state.conversation,
    )


def validate(spec: SessionSpec, state: SessionState, *, clean: bool = False) -> ValidateRequest:
    return ValidateRequest(
        site=_site(spec, state, head(state)),
        checks=criteria.checks(state.criteria),
        setup_command=criteria.setup_command(spec, state),
        base=state.base,
        clean=clean,
    )


def judge(spec: SessionSpec, state: SessionState) -> JudgeRequest:
    return JudgeRequest(
        site=_site(spec, state, head(state)),
        allowance=allowance(spec, state, "judge"),
        goal=spec.goal,
        base=state.base or head(state),
        criteria=criteria.judged(state.criteria),
        evidence=state.card.commands if state.card else [],
    )


def diagnose(spec: SessionSpec, state: SessionState) -> DiagnoseRequest:
    return DiagnoseRequest(
        site=_site(spec, state, head(state)),
        allowance=allowance(spec, state, "diagnose"),
        goal=spec.goal,
        failures=criteria.failures(spec, state),
        tries=state.tries,
        parent=state.checkpoint.parent if state.checkpoint else head(state),
    )


def reflect(spec: SessionSpec, state: SessionState, why: str) -> ReflectRequest:
    return ReflectRequest(
        site=_site(spec, state, head(state)),
        allowance=allowance(spec, state, "reflect"),
        goal=spec.goal,
        strategy=state.strategy,
        why=why,
        scoreboard=[f"{c.id}: {c.description}: {view.evidence_of(state, c.id)}" for c in state.criteria],
        tries=state.tries,
        history=[f"#{e.seq} {e.kind}: {e.text}" for e in state.events][-MAX_HISTORY:],
    )


def _site(spec: SessionSpec, state: SessionState, commit: str | None) -> Site:
    return Site(
        session_id=spec.session_id,
        project=spec.project,
        commit=commit,
        iteration=state.iteration,
        egress=spec.egress,
    )
