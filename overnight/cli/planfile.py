"""A plan as a file that a person reads and edits: TOML, with every mistake told by its place."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from overnight.errors import InvalidRequestError
from workflows.contracts.text import printable

if TYPE_CHECKING:
    from workflows.contracts.approvals import PlanEdit, PlanView
    from workflows.contracts.plan import Criterion, Step

PLANNED = "plan-"
"""How the ids of the planner's own criteria begin: the others are not a matter of the plan."""
_KEYS = {
    "steps": {"id", "title", "instructions"},
    "criteria": {"id", "description", "command", "weight"},
}


def written(view: PlanView, *, heading: str = "") -> str:
    """The plan as text, below a ``heading`` of comments; ``read`` takes it back."""
    return "\n".join(_lines(view, heading))


def _lines(view: PlanView, heading: str) -> Iterator[str]:
    for line in (*heading.splitlines(), *_words(view)):
        yield f"# {printable(' '.join(line.split()))}".rstrip()
    for step in view.steps:
        if step.status == "pending":
            yield from ("", *_step(step))
    own = [c for c in view.criteria if c.id.startswith(PLANNED)]
    if not view.frozen:
        for criterion in own:
            yield from ("", *_criterion(criterion))
    yield ""


def _words(view: PlanView) -> Iterator[str]:
    if view.summary:
        yield from ("", *view.summary.splitlines())
    past = [step for step in view.steps if step.status != "pending"]
    if past:
        yield ""
    for step in past:
        yield f"{step.status}: {step.id} {step.title}{f' ({step.why})' if step.why else ''}"
    stay = [c for c in view.criteria if view.frozen or not c.id.startswith(PLANNED)]
    if stay:
        yield from ("", "Criteria that stay as they are:")
    for criterion in stay:
        decided = f" `{criterion.command}`" if criterion.command else ""
        yield f"- {criterion.id}: {criterion.description}{decided}"
    if view.next:
        yield from ("", f"Next, unless the steps are edited: {view.next}")


def _step(step: Step) -> Iterator[str]:
    yield from ("[[steps]]", f"id = {quoted(step.id)}", f"title = {quoted(step.title)}")
    yield f"instructions = {block(step.instructions)}"


def _criterion(criterion: Criterion) -> Iterator[str]:
    yield from ("[[criteria]]", f"id = {quoted(criterion.id)}", f"description = {quoted(criterion.description)}")
    if criterion.command is not None:
        yield f"command = {quoted(criterion.command)}"
    yield f"weight = {criterion.weight:g}"


def quoted(text: str) -> str:
    """A TOML string: JSON's, which does not know that one more character must be escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def block(text: str) -> str:
    """A TOML string over several lines; one with odd characters in it stays on one."""
    if any(c != "\n" and c != "\t" and not c.isprintable() for c in text):
        return quoted(text)
    escaped = text.replace("\\", "\\\\")
    if '"""' in text or text.endswith('"'):
        escaped = escaped.replace('"', '\\"')
    return f'"""\n{escaped}"""'


def toml(text: str, what: str) -> dict[str, Any]:
    """A TOML file of a person's. Raises ``InvalidRequestError``."""
    try:
        text.encode()
        return tomllib.loads(text)
    except UnicodeEncodeError:
        raise InvalidRequestError(f"{what} cannot be read: it is no text in UTF-8") from None
    except ValueError as error:
        raise InvalidRequestError(f"{what} cannot be read: {error}") from None
    except RecursionError:
        raise InvalidRequestError(f"{what} cannot be read: it is nested too deeply") from None


def read(text: str, *, criteria: bool) -> PlanEdit:
    """What a person made of the plan; ``criteria``: whether the planner's could be edited, so that none means none.

    Raises ``InvalidRequestError``.
    """
    from pydantic import ValidationError

    from overnight.request import in_words
    from workflows.contracts.approvals import PlanEdit

    data = toml(text, "the plan")
    _check_keys(data)
    if criteria:
        data.setdefault("criteria", [])
    try:
        return PlanEdit.model_validate(data)
    except ValidationError as error:
        raise InvalidRequestError(in_words(error)) from None


def _check_keys(data: dict[str, Any]) -> None:
    for name, entries in data.items():
        if name not in _KEYS:
            raise InvalidRequestError(f"{name!r} is not known in a plan; it holds [[steps]] and [[criteria]]")
        for n, entry in enumerate(entries if isinstance(entries, list) else [], 1):
            odd = set(entry) - _KEYS[name] if isinstance(entry, dict) else set[str]()
            if odd:
                known = ", ".join(sorted(_KEYS[name]))
                raise InvalidRequestError(f"{name}, number {n}: {min(odd)!r} is not known; known are {known}")
    if not data.get("steps"):
        raise InvalidRequestError("steps: a plan needs at least one; to reject it: overnight reject")
