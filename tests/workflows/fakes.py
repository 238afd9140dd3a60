"""Typed fake activities: a small world with commits, a model with opinions, and a script of what goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from workflows.calls import MODEL_UNAVAILABLE
from workflows.contracts.answers import DiagnosisAnswer, PlanAnswer, PlannedStep, ReflectionAnswer
from workflows.contracts.applied import Known, RecallAsked
from workflows.contracts.evidence import ArtifactRef, CommandEvidence, Quote, Verdict
from workflows.contracts.knowledge import LearnRequest, LearnResult
from workflows.contracts.outcome import CallReport, Outcome, Usage
from workflows.contracts.requests import (
    Beat,
    Checkpoint,
    DiagnoseRequest,
    DiagnoseResult,
    ExecuteRequest,
    ExecuteResult,
    ForkRequest,
    ForkResult,
    JudgeRequest,
    JudgeResult,
    PlanRequest,
    PlanResult,
    ReflectRequest,
    ReflectResult,
    RestoreRequest,
    RestoreResult,
    ValidateRequest,
    ValidateResult,
)
from workflows.contracts.spec import Limits, Models, Project, SessionSpec
from workflows.policy import agreed

T = TypeVar("T")

MODELS = Models(plan="m", execute="m", judge="m", diagnose="m", reflect="m")
PRICE = 0.25
"""USD of every fake model call."""


def sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def spec(session_id: str, **changes: Any) -> SessionSpec:
    limits = Limits(
        **{k: changes.pop(k) for k in ("max_iterations", "max_time_minutes", "max_cost_usd") if k in changes}
    )
    given: dict[str, Any] = {
        "session_id": session_id,
        "goal": "write a poem",
        "project": Project(key="fake"),
        "validation_command": "make test",
        "limits": limits,
        "models": MODELS,
    }
    return SessionSpec(**{**given, **changes})


Hook = Callable[[Any], Awaitable[CallReport | None]]


@dataclass
class World:
    """What the fakes answer; tests change fields and hooks."""

    steps: int = 1
    passes_at: int = 2
    """Iteration from which on the validation command passes."""
    rates: Callable[[int], float] | None = None
    """Share of checks that pass while the command does not; none unless it says so."""
    judge_says: Callable[[int], bool] = lambda _iteration: True
    quotes_exist: bool = True
    clean_passes: Callable[[int], bool] = lambda _iteration: True
    prints: Callable[[int], str] = lambda iteration: f"{iteration} failed"
    fixes: Callable[[int], str] = lambda iteration: f"turn {sha(str(iteration))}"
    changes: Callable[[int], bool] = lambda _iteration: True
    """Whether an execute changes the tree."""
    before: dict[str, Hook] = field(default_factory=dict)
    """Per activity: something to do first, which may give the report itself."""
    requests: list[Any] = field(default_factory=list)
    strategy: str | None = "try the other way"
    new_steps: list[PlannedStep] | None = None
    """The steps that a reflection wants from then on."""
    host: str | None = None
    """Where the session's worktree is said to be."""
    trees: dict[str, str] = field(default_factory=dict)
    """By commit."""
    commits: dict[int, str] = field(default_factory=lambda: {0: sha("base")})
    """The last checkpoint of each iteration."""
    stands_on: dict[str, int] = field(default_factory=dict)
    """By commit: the iteration whose work its tree is."""
    approaches: tuple[str, ...] = ()
    """What a reflection names that is asked for several."""
    reaches: dict[str, float] = field(default_factory=dict)
    """By approach: the share of checks that pass after its first execute."""
    knows: Callable[[RecallAsked], Known] = lambda _asked: Known()
    asked: list[RecallAsked] = field(default_factory=list)
    learned: list[LearnRequest] = field(default_factory=list)
    recalls: Callable[[Any], Awaitable[None]] | None = None
    exits: int = 1
    """How the validation command ends while it does not pass."""
    held_out: list[int] = field(default_factory=list)
    """How the held-out checks end, one exit code a run; then they pass."""
    learns: Callable[[Any], Awaitable[None]] | None = None
    """Something that happens before the store answers, or has kept what it is told."""
    reached: dict[str, float] = field(default_factory=dict)
    """By commit: what the approach has reached whose work it is."""

    def seen(self, kind: type[T]) -> list[T]:
        return [r for r in self.requests if isinstance(r, kind)]

    async def _enter(self, name: str, request: Any) -> CallReport | None:
        self.requests.append(request)
        hook = self.before.get(name)
        return await hook(request) if hook else None

    def activities(self) -> list[Callable[..., Any]]:
        calls: list[Callable[..., Any]] = [self.plan, self.execute, self.validate, self.judge, self.diagnose]
        return [*calls, self.reflect, self.restore, self.fork]

    def light(self) -> list[Callable[..., Any]]:
        return [self.recall, self.learn]

    @activity.defn(name="recall")
    async def recall(self, asked: RecallAsked) -> Known:
        self.asked.append(asked)
        if self.recalls is not None:
            await self.recalls(asked)
        return self.knows(asked)

    @activity.defn(name="learn")
    async def learn(self, request: LearnRequest) -> LearnResult:
        self.learned.append(request)
        if self.learns is not None:
            await self.learns(request)
        return LearnResult(saved=[hashlib.sha256(one.title.encode()).hexdigest() for one in request.learnings])

    @activity.defn(name="plan")
    async def plan(self, request: PlanRequest) -> PlanResult:
        if early := await self._enter("plan", request):
            return PlanResult(**_fields(early), base=sha("base"))
        answer = PlanAnswer(
            summary="do it",
            steps=[PlannedStep(id=f"s{n}", title=f"step {n}", instructions="work") for n in range(1, self.steps + 1)],
        )
        given = spec(
            request.site.session_id,
            goal=request.goal,
            validation_command=request.validation_command,
            success_criteria=request.success_criteria,
        )
        return PlanResult(
            outcome=Outcome.COMPLETED,
            base=sha("base"),
            held_out=ArtifactRef(sha256="f" * 64, size_bytes=1) if self.held_out else None,
            plan=agreed.plan_from(answer, given),
            usage=used(),
            host=self.host,
        )

    @activity.defn(name="execute")
    async def execute(self, request: ExecuteRequest) -> ExecuteResult:
        early = await self._enter("execute", request)
        if isinstance(early, ExecuteResult):
            return early
        if early and early.outcome not in WORKED:
            return ExecuteResult(**_fields(early))
        changed = self.changes(request.site.iteration)
        made = checkpoint(request, changed)
        self.trees[made.commit] = made.tree
        self.commits[made.iteration] = made.commit
        self.stands_on[made.commit] = made.iteration
        if request.brief.strategy in self.reaches:
            self.reached[made.commit] = self.reaches[request.brief.strategy]
        result = ExecuteResult(
            outcome=Outcome.COMPLETED,
            usage=used(),
            checkpoint=made,
            summary="I did it",
            seconds=1,
            host=self.host,
        )
        if early is None:
            return result
        conversation = f"conv-{request.site.iteration}" if early.outcome is Outcome.INTERRUPTED else None
        return result.model_copy(update={**_fields(early), "conversation": conversation})

    @activity.defn(name="validate")
    async def validate(self, request: ValidateRequest) -> ValidateResult:
        if early := await self._enter("validate", request):
            return ValidateResult(**_fields(early))
        commit = request.site.commit or sha("base")
        if request.held_out is not None:
            code = self.held_out.pop(0) if self.held_out else 0
            hidden = CommandEvidence(
                criterion="held-out", commit=commit, clean=True, exit_code=code, rate=float(not code)
            )
            return ValidateResult(outcome=Outcome.COMPLETED, host=self.host, evidence=[hidden])
        # What holds depends on the tree, not on the moment.
        iteration = self.stands_on.get(commit, request.site.iteration)
        passed = iteration >= self.passes_at and (not request.clean or self.clean_passes(iteration))
        passed = passed or self.reached.get(commit) == 1.0
        return ValidateResult(
            outcome=Outcome.COMPLETED,
            host=self.host,
            evidence=[
                CommandEvidence(
                    criterion=c.criterion,
                    commit=commit,
                    clean=request.clean,
                    exit_code=0 if passed else self.exits,
                    rate=1.0 if passed else self.reached.get(commit, self.rates(iteration) if self.rates else 0.0),
                    tail="ok" if passed else self.prints(iteration),
                )
                for c in request.checks
            ],
        )

    @activity.defn(name="judge")
    async def judge(self, request: JudgeRequest) -> JudgeResult:
        if early := await self._enter("judge", request):
            return JudgeResult(**_fields(early))
        met = self.judge_says(request.site.iteration)
        commit = request.site.commit or ""
        quotes = [Quote(file="poem.txt", quote="roses", found=self.quotes_exist)]
        verdicts = [
            Verdict(criterion=c.id, commit=commit, met=met, confidence="high", reason="read it", quotes=quotes)
            for c in request.criteria
        ]
        return JudgeResult(outcome=Outcome.COMPLETED, verdicts=verdicts, usage=used())

    @activity.defn(name="diagnose")
    async def diagnose(self, request: DiagnoseRequest) -> DiagnoseResult:
        if early := await self._enter("diagnose", request):
            return DiagnoseResult(**_fields(early))
        diagnosis = DiagnosisAnswer(
            root_cause=f"cause {request.site.iteration}",
            fix=self.fixes(request.site.iteration),
            category="logic",
            confidence="high",
        )
        return DiagnoseResult(outcome=Outcome.COMPLETED, diagnosis=diagnosis, usage=used())

    @activity.defn(name="reflect")
    async def reflect(self, request: ReflectRequest) -> ReflectResult:
        if early := await self._enter("reflect", request):
            return ReflectResult(**_fields(early))
        reflection = ReflectionAnswer(
            change_approach=self.strategy is not None,
            new_strategy=self.strategy,
            steps=self.new_steps,
            approaches=list(self.approaches) if request.approaches else [],
        )
        return ReflectResult(outcome=Outcome.COMPLETED, reflection=reflection, usage=used())

    @activity.defn(name="restore")
    async def restore(self, request: RestoreRequest) -> RestoreResult:
        if early := await self._enter("restore", request):
            return RestoreResult(**_fields(early))
        to = request.to or self.commits.get(request.iteration or 0)
        if to is None:
            return RestoreResult(outcome=Outcome.NO_ANSWER, detail="no such checkpoint")
        start = request.site.commit or sha("base")
        made = Checkpoint(
            commit=sha(f"{start} restored {to}"),
            tree=self.trees.get(to, sha("base tree")),
            parent=to,
            iteration=request.site.iteration,
        )
        self.trees[made.commit] = made.tree
        self.stands_on[made.commit] = self.stands_on.get(to, 0)
        if to in self.reached:
            self.reached[made.commit] = self.reached[to]
        return RestoreResult(outcome=Outcome.COMPLETED, host=self.host, checkpoint=made)

    @activity.defn(name="fork")
    async def fork(self, request: ForkRequest) -> ForkResult:
        if early := await self._enter("fork", request):
            return ForkResult(**_fields(early))
        return ForkResult(outcome=Outcome.COMPLETED, host=self.host)


WORKED = {
    Outcome.INTERRUPTED, Outcome.MAX_TURNS, Outcome.MAX_COST, Outcome.TIME_LIMIT, Outcome.STALLED, Outcome.NO_ANSWER,
}  # fmt: skip
"""Outcomes that leave a checkpoint."""


def _fields(report: CallReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in CallReport.model_fields}


def used() -> Usage:
    return Usage(calls=1, responses=2, input_tokens=100, output_tokens=10, cost_usd=PRICE)


def checkpoint(request: ExecuteRequest, changed: bool) -> Checkpoint:
    parent = request.site.commit or sha("base")
    attempt = f"{request.site.session_id} {request.site.iteration} {request.conversation}"
    return Checkpoint(
        commit=sha(f"{parent} {attempt}"),
        tree=sha(f"tree {attempt}") if changed else sha("same tree"),
        parent=parent,
        iteration=request.site.iteration,
        changed_files=int(changed),
    )


class Working:
    """A call that works until somebody stops it, and then says what it did so far; later ones end by themselves."""

    def __init__(self, times: int = 1, *, answered: bool = True) -> None:
        self.times = times
        self.answered = answered
        self.started = asyncio.Event()
        self.enough = asyncio.Event()
        """Set by a test to let the call end by itself."""

    async def __call__(self, request: Any) -> CallReport | None:
        if self.times <= 0:
            return None
        self.times -= 1
        self.started.set()
        try:
            while not self.enough.is_set():
                activity.heartbeat(Beat())
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            usage = used() if self.answered else Usage()
            return CallReport(outcome=Outcome.INTERRUPTED, detail="stopped", usage=usage)
        return None


def in_turn(*steps: Outcome | CallReport | Exception | None) -> Hook:
    """The first call reports the first of ``steps``, and so on; then everything is well."""
    left = list(steps)

    async def hook(_request: Any) -> CallReport | None:
        step = left.pop(0) if left else None
        if isinstance(step, Exception):
            raise step
        return CallReport(outcome=step, detail="so it went", usage=used()) if isinstance(step, Outcome) else step

    return hook


def unavailable(usage: Usage | None = None) -> ApplicationError:
    return ApplicationError("529 overloaded", Beat(usage=usage or Usage()), type=MODEL_UNAVAILABLE, non_retryable=True)
