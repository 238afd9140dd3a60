"""Entries as JSON lines, to take them elsewhere: each line stands for itself and names the version of its form."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field, ValidationError

from overnight.base.wording import reworded
from workflows.contracts.knowledge import Count, Entry, Learning
from workflows.contracts.text import Contract, Digest, Key, Moment, clip, printable

VERSION = 1
LONGEST_LINE = 32_000
"""Characters; the longest entry has fewer."""
_ENDING = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}
"""Some programs take these for the end of a line."""


class Line(Contract):
    """What must be right in a line. Text is not clipped silently: what is too long was not written by us."""

    id: Digest | None = None
    learning: Learning
    project: Key | None = None
    source: Key = "person"
    created: Moment | None = None
    worked: Annotated[Count, Field(le=1_000_000)] = 0
    failed: Annotated[Count, Field(le=1_000_000)] = 0
    failed_in_a_row: Annotated[Count, Field(le=1_000_000)] = 0


class BadLineError(Exception):
    """A line cannot be imported, and why, in words; what stands in it is not repeated."""


def write(entry: Entry) -> str:
    """An entry as a line, without its end."""
    text = json.dumps({"overnight_knowledge": VERSION, **entry.model_dump(mode="json")}, ensure_ascii=False)
    return text.translate(_ENDING)


def read(line: str) -> Line:
    """What a line says. Raises ``BadLineError``."""
    if len(line) > LONGEST_LINE:
        raise BadLineError(f"it is longer than {LONGEST_LINE} characters")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLineError("it is no JSON") from None
    if not isinstance(found, dict):
        raise BadLineError("it is no JSON object")
    version = found.get("overnight_knowledge")
    if not isinstance(version, int) or isinstance(version, bool):
        raise BadLineError(f'it has no "overnight_knowledge": {VERSION}, as every line of an export has')
    if version > VERSION:
        raise BadLineError(f"it is of version {version}, and this Overnight reads up to {VERSION}: upgrade it")
    try:
        said = Line.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "line"
        raise BadLineError(f"{where}: {reworded(first['msg'][0].lower() + first['msg'][1:])}") from None
    except (ValueError, OverflowError):
        raise BadLineError("a number or a date in it is out of bounds") from None
    for name in ("title", "cue", "advice"):
        text, kept = str(found["learning"][name]), getattr(said.learning, name)
        # Not cut: half a secret is none that anybody would find, and half an advice none that anybody gave.
        if kept != clip(printable(text), len(text.encode("utf-8", "replace")) + 1):
            raise BadLineError(f"learning.{name}: it is too long")
        if not kept.strip() and name != "title":
            raise BadLineError(f"learning.{name}: it is empty")
    return said
