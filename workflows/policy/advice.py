"""Advice of earlier sessions: what a prompt is given of it, and what counts as having helped.

One piece is counted at a time, the most trusted, so that what comes of it says something about it. Advice for a
failure helped when that failure is gone in the next validation, and did not when it is still there. Advice on how to go
about the goal helped when the session reached its goal that way, and did not when the session had to leave that way.
Where a person, a limit or a time-out ended it before, nobody knows. What came beside it, and what is true of the
project, is shown and not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workflows.contracts.applied import MAX_USES, Given, Known, Memory, RecallAsked, RungRate, Use
from workflows.contracts.evidence import Fingerprint
from workflows.contracts.knowledge import MAX_LEARNINGS, OF_GOALS, PERSON, Feedback, Recalled, RecallRequest
from workflows.contracts.requests import FailedCheck
from workflows.contracts.spec import SessionSpec
from workflows.contracts.state import SessionState, Status
from workflows.contracts.status import KnowledgeUsed
from workflows.contracts.text import clip
from workflows.policy import criteria, fingerprint
from workflows.policy.record import one_line
from workflows.policy.words import counted

HELPED: Final = "helped"
FAILED: Final = "did not help"
MAX_HINTS = 2
"""Of one plan."""
CUE_BYTES = 2_000
SOME_SESSION: Final = "an-earlier-one"
"""Stands for a session that is not told."""


# ---------------------------------------------------------------------- asking


def about_goal(spec: SessionSpec, state: SessionState) -> RecallAsked:
    """What to look for before a plan; what is known of the project once, before the first."""
    return RecallAsked(
        request=_request(spec, state, clip(spec.goal, CUE_BYTES), []), project_too=state.knowledge.search is None
    )


def about_failure(spec: SessionSpec, state: SessionState) -> RecallAsked | None:
    """What to look for before a diagnosis; None where no command shows a failure that could be known again."""
    found = failure(spec, state)
    if found is None or len(_counted(state)) >= MAX_USES:
        return None
    check, seen = found
    return RecallAsked(request=_request(spec, state, key_lines(check.evidence, CUE_BYTES), [seen]))


def _request(spec: SessionSpec, state: SessionState, query: str, errors: list[Fingerprint]) -> RecallRequest:
    return RecallRequest(
        session_id=spec.session_id,
        project=spec.project.key,
        query=query,
        errors=errors,
        exclude=[use.id for use in state.knowledge.uses if use.result == FAILED][:MAX_LEARNINGS],
    )


def failure(spec: SessionSpec, state: SessionState) -> tuple[FailedCheck, Fingerprint] | None:
    """The failure that a diagnosis is about: the first that a command showed."""
    for check in criteria.failures(spec, state):
        if check.command is not None and (check.exit_code is not None or check.timed_out):
            return check, check.fingerprint or fingerprint.fingerprint(check.evidence)
    return None


def key_lines(printed: str, limit: int) -> str:
    """What says in some output what is wrong."""
    return clip("\n".join(fingerprint.key_lines(printed)[: fingerprint.KEY_LINES]), limit)


def of_nobody(known: Known) -> Known:
    """What is known, without whose it is and what they wanted: for a session whose owner may not see every session."""
    hidden = {"source": SOME_SESSION}
    recalled = [
        one
        if one.source == PERSON
        else one.model_copy(update={**hidden, "title": one.kind} if one.kind in OF_GOALS else hidden)
        for one in known.recalled
    ]
    memories = [one if one.source == PERSON else one.model_copy(update=hidden) for one in known.memories]
    return known.model_copy(update={"recalled": recalled, "memories": memories})


# ---------------------------------------------------------------------- giving


def for_plan(state: SessionState, known: Known) -> Given:
    """What a plan is given: the most trusted advice, a few hints, and what is true of the project."""
    knowledge = state.knowledge
    if knowledge.search is None:
        knowledge.memories, knowledge.rungs = known.memories, known.rungs
        knowledge.expected_seconds = known.expected_seconds
    _heard(state, known)
    fitting = [r for r in known.recalled if r.kind in OF_GOALS]
    chosen = [
        *[r for r in fitting if r.level == "advice"][:1],
        *[r for r in fitting if r.level == "hint"][:MAX_HINTS],
    ]
    return Given(advice=_given(state, chosen, None), memories=knowledge.memories)


def for_diagnosis(spec: SessionSpec, state: SessionState, known: Known) -> Given:
    """What a diagnosis is given: the most trusted advice on this very failure."""
    _heard(state, known)
    found = failure(spec, state)
    chosen = [r for r in known.recalled if r.kind == "error_solution" and r.level == "advice"][:1]
    return Given(advice=_given(state, chosen, found[1].exact if found else None))


def _heard(state: SessionState, known: Known) -> None:
    if known.problem:
        state.knowledge.away = one_line(known.problem, 120)
    else:
        state.knowledge.search, state.knowledge.away = known.search, ""


def _given(state: SessionState, chosen: Sequence[Recalled], error: str | None) -> list[Recalled]:
    """Put on record what is given; what failed in this session, or finds no room any more, is not."""
    given: list[Recalled] = []
    for one in chosen:
        first = not given
        known = next((use for use in state.knowledge.uses if use.id == one.id), None)
        if known is not None and known.result == FAILED:
            continue
        if known is not None:
            # Given once more: what comes of it is seen at the next validation.
            known.iteration, known.error, known.result = state.iteration, error, ""
            known.counted = known.counted or first
        elif not _add(state, _use(state, one, error, counted=first)):
            continue
        given.append(one)
    return given


def _use(state: SessionState, one: Recalled, error: str | None, *, counted: bool) -> Use:
    return Use(
        id=one.id,
        kind=one.kind,
        title=one_line(one.title, 80),
        source=one.source,
        confidence=one.confidence,
        level=one.level,
        iteration=state.iteration,
        error=error,
        counted=counted,
    )


def _add(state: SessionState, use: Use) -> bool:
    """Whether there is room: what is not counted gives way; what is stays, so that it is known in the end."""
    uses = list(state.knowledge.uses)
    if len(uses) >= MAX_USES:
        least = next((old for old in uses if not old.counted), None)
        if least is None or not use.counted:
            return False
        uses.remove(least)
    state.knowledge.uses = [*uses, use]
    return True


# ---------------------------------------------------------------------- what came of it


def settle(state: SessionState) -> list[str]:
    """After a validation: what it shows of advice for a failure. Returns it in words."""
    failing = failing_now(state)
    if failing is None:
        return []
    words = []
    for use in _counted(state):
        if use.error is not None and not use.result and use.iteration < state.iteration:
            use.result = FAILED if use.error in failing else HELPED
            words.append(in_words(use))
    return words


def dropped(state: SessionState) -> None:
    """The fix that came of advice for a failure is not done: nobody will know, and it may be given again."""
    state.knowledge.uses = [use for use in state.knowledge.uses if use.error is None or use.result]


def failing_now(state: SessionState) -> set[str] | None:
    """Exact fingerprints of all that fails; None where not every command was run on this commit."""
    card = state.card
    if card is None:
        return None
    ran = {e.criterion: e for e in card.commands}
    if any(c.command and c.id not in ran for c in state.criteria):
        return None
    failing = [*card.commands, *([card.setup] if card.setup else [])]
    return {
        (e.fingerprint or fingerprint.fingerprint(e.tail)).exact
        for e in failing
        if e.exit_code != 0 or e.timed_out or e.rate < 1
    }


def left_behind(state: SessionState) -> None:
    """The session leaves the way that it went: what advised it did not help."""
    for use in _counted(state):
        if use.error is None and not use.result:
            use.result = FAILED


def ended(state: SessionState, status: Status) -> None:
    """The last word on advice for the whole way, where the end of the session says one."""
    if status is not Status.COMPLETED:
        # A session fails by a limit, a rejection or a silence alone, and is cancelled by a person: nobody knows then.
        return
    for use in _counted(state):
        if use.error is None and not use.result:
            use.result = HELPED


def untold(state: SessionState) -> list[Feedback]:
    """Verdicts that the store does not know yet."""
    return [Feedback(id=use.id, worked=use.result == HELPED) for use in _counted(state) if use.result and not use.told]


def told(state: SessionState, feedback: Sequence[Feedback]) -> None:
    """The store knows these."""
    ids = {one.id for one in feedback}
    for use in state.knowledge.uses:
        use.told = use.told or use.id in ids


def verdicts(state: SessionState) -> list[Feedback]:
    """All verdicts of the session: the store takes the first word on each."""
    return [Feedback(id=use.id, worked=use.result == HELPED) for use in _counted(state) if use.result]


def outdated(state: SessionState, memories: Sequence[Memory]) -> None:
    """Take over which memories are perhaps outdated."""
    marked = {one.id: one.outdated for one in memories}
    state.knowledge.memories = [
        one.model_copy(update={"outdated": marked.get(one.id, one.outdated)}) for one in state.knowledge.memories
    ]


def _counted(state: SessionState) -> list[Use]:
    return [use for use in state.knowledge.uses if use.counted]


# ---------------------------------------------------------------------- the order of the ladder

FLOOR = 3
"""Sessions of the project that a rung was tried in, before its record moves it."""


def order(names: Sequence[str], rates: Sequence[RungRate]) -> list[str]:
    """Rungs by their record in this project, the best first; those without enough of one as if half of them helped."""
    known = {rate.name: rate for rate in rates}

    def score(name: str) -> float:
        rate = known.get(name)
        if rate is None or rate.helped + rate.failed < FLOOR:
            return 0.5
        return (rate.helped + 1) / (rate.helped + rate.failed + 2)

    return sorted(names, key=lambda name: -score(name))


# ---------------------------------------------------------------------- in words


ABOUT = "knowledge"
"""How events begin that are about it."""


def is_about(text: str) -> bool:
    """Whether an event tells of what earlier sessions learned, in their words."""
    return text.startswith(ABOUT)


def in_words(use: Use) -> str:
    """What came of a use, for the record."""
    return f"{ABOUT} of {use.source} {use.result}: {use.title}"


def giving(given: Given) -> list[str]:
    """What a prompt is given, for the record."""
    words = [f"{ABOUT}: {one.level} of {one.source} ({one.confidence:.2f}): {one.title}" for one in given.advice]
    if given.memories:
        words.append(f"{ABOUT}: {counted(len(given.memories), 'memory', 'memories')} of the project")
    return words


def shown(state: SessionState) -> list[KnowledgeUsed]:
    """Everything that was given, for status and report."""
    uses = [
        KnowledgeUsed(
            id=use.id,
            kind=use.kind,
            title=use.title,
            source=use.source,
            confidence=use.confidence,
            level=use.level,
            iteration=use.iteration,
            result=use.result,
            counted=use.counted,
        )
        for use in state.knowledge.uses
    ]
    memories = [
        KnowledgeUsed(
            id=one.id,
            kind="memory",
            title=f"{'perhaps outdated: ' if one.outdated else ''}{one.text}",
            source=one.source,
            confidence=1,
            level="memory",
            iteration=0,
            counted=False,
        )
        for one in state.knowledge.memories
    ]
    return [*uses, *memories]


def line(used: KnowledgeUsed) -> str:
    """One of them for people."""
    if used.level == "memory":
        return f"of the project, from {used.source}: {one_line(used.title, 160)}"
    when = f"after #{used.iteration}" if used.iteration else "to the plan"
    became = used.result or ("not known yet" if used.counted else "not counted")
    return f"{used.level} of {used.source} ({used.confidence:.2f}), given {when}: {used.title}: {became}"


def note(state: SessionState) -> str:
    """How it was looked for, what is kept of the session, and what kept the store from either; empty before."""
    knowledge = state.knowledge
    parts = [f"{knowledge.search} search"] if knowledge.search else []
    if knowledge.kept is not None:
        parts.append(f"{counted(knowledge.kept, 'learning')} of this session kept")
    if knowledge.away:
        parts.append(knowledge.away)
    return one_line("; ".join(parts))
