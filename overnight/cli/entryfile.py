"""An entry of knowledge as a file that a person reads and edits: TOML, with every mistake told by its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from overnight.cli.planfile import block, quoted, toml
from overnight.errors import InvalidRequestError

if TYPE_CHECKING:
    from workflows.contracts.knowledge import Learning

FIELDS = ("kind", "title", "cue", "advice", "task_type")
HEADING = """\
title   one line for lists
cue     what it is found by: a goal in words, or the lines of an error
advice  what to do; sessions are told it as untrusted advice, it never binds them
kind    approach, error_solution, template, or memory (of one project)
Empty the file to change nothing."""
_BLANK = {"kind": "approach", "title": "", "cue": "", "advice": "", "task_type": "other"}


def written(learning: Learning | None, heading: str) -> str:
    """An entry as text, below a heading of comments; None for a new one."""
    values = _BLANK if learning is None else {name: getattr(learning, name) for name in FIELDS}
    lines = [f"# {line}".rstrip() for line in (*heading.splitlines(), "", *HEADING.splitlines())]
    for name, value in values.items():
        lines.append(f"{name} = {block(value) if name in {'cue', 'advice'} else quoted(value)}")
    return "\n".join([*lines, ""])


def read(text: str, before: Learning | None) -> Learning:
    """What a person made of it; what the file does not show stays as it was. Raises ``InvalidRequestError``."""
    from pydantic import ValidationError

    from overnight.request import in_words
    from workflows.contracts.knowledge import Learning
    from workflows.contracts.text import clip, printable

    data = toml(text, "the file")
    if odd := sorted(set(data) - set(FIELDS)):
        raise InvalidRequestError(f"{odd[0]!r} is not known; known are {', '.join(FIELDS)}")
    data = {name: value.strip() if isinstance(value, str) else value for name, value in data.items()}
    try:
        made = Learning.model_validate({**(before.model_dump() if before else {}), **data})
    except ValidationError as error:
        raise InvalidRequestError(in_words(error)) from None
    for name in ("title", "cue", "advice"):
        said = data.get(name)
        # What a machine wrote is clipped; what a person wrote is not cut behind their back.
        if isinstance(said, str) and getattr(made, name) != clip(printable(said), len(said.encode()) + 1):
            raise InvalidRequestError(f"{name}: is too long ({len(said.encode())} bytes)")
        if not getattr(made, name):
            raise InvalidRequestError(f"{name}: is empty")
    return made
