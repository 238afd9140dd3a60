"""Text with a byte limit: what a person wrote is refused when too long, what a machine wrote is clipped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

ELLIPSIS = "…"

_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
"""Also those of eight bits: some terminals take U+009B for the beginning of a command."""
del _CONTROLS[ord("\n")], _CONTROLS[ord("\t")]


def printable(text: str) -> str:
    """``text`` without terminal colours and control characters, which JSON would blow up to six times their size."""
    return _TERMINAL.sub("", text).translate(_CONTROLS)


def clip(text: str, limit: int, *, keep: str = "head") -> str:
    """``text`` in at most ``limit`` bytes of UTF-8, its ``keep`` (``head`` or ``tail``) kept and the cut marked."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return raw.decode("utf-8")
    room = limit - len(ELLIPSIS.encode())
    if room < 0:
        return ""
    if keep == "tail":
        return ELLIPSIS + raw[len(raw) - room :].decode("utf-8", "ignore")
    return raw[:room].decode("utf-8", "ignore") + ELLIPSIS


@dataclass(frozen=True)
class MaxBytes:
    """Marks a string of at most ``limit`` bytes of UTF-8; a longer one is refused, or made printable and clipped."""

    limit: int
    clipped: bool = False
    keep: str = "head"
    verbatim: bool = False
    """Clipped, but with every control character as it was: a patch must apply."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        described["maxLength"] = self.limit
        return described

    def _check(self, value: str) -> str:
        if self.clipped:
            return clip(value if self.verbatim else printable(value), self.limit, keep=self.keep)
        size = len(value.encode("utf-8", "replace"))
        if size > self.limit:
            raise PydanticCustomError(
                "too_many_bytes",
                "is {size} bytes long; the limit is {limit} bytes",
                {"size": size, "limit": self.limit},
            )
        return value


Line = Annotated[str, MaxBytes(200, clipped=True)]
"""One line for a list or a summary; clipped at 200 bytes."""
Snippet = Annotated[str, MaxBytes(120, clipped=True)]
"""A part of a line; clipped at 120 bytes."""
Sentence = Annotated[str, MaxBytes(400, clipped=True)]
"""A statement or a cause; clipped at 400 bytes."""
Paragraph = Annotated[str, MaxBytes(800, clipped=True)]
"""A few sentences; clipped at 800 bytes."""
Page = Annotated[str, MaxBytes(4_000, clipped=True)]
"""Instructions to a model; clipped at 4,000 bytes."""
Tail = Annotated[str, MaxBytes(400, clipped=True, keep="tail")]
"""The end of some output, for a glance; its last 400 bytes. The whole is an artifact."""


def _says_something(value: str) -> str:
    if not printable(value).strip():
        raise PydanticCustomError("says_nothing", "says nothing: there are only control characters in it")
    return value


_SAID = (StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_says_something))

Goal = Annotated[str, *_SAID, MaxBytes(20_000)]
"""What the person wants; 1 to 20,000 bytes, refused beyond."""
Command = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), MaxBytes(2_000)]
"""A shell command; 1 to 2,000 bytes, refused beyond."""
Guidance = Annotated[str, *_SAID, MaxBytes(2_000)]
"""Steering text of a person; 1 to 2,000 bytes, refused beyond."""
Wish = Annotated[str, *_SAID, MaxBytes(400)]
"""A success criterion in a person's words; 1 to 400 bytes, refused beyond."""
Location = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), MaxBytes(2_000)]
"""A path or a URL; 1 to 2,000 bytes, refused beyond."""
Destination = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), MaxBytes(200)]
"""A host name, an address or a network, with a port if need be; 1 to 200 bytes, refused beyond."""

Glob = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), MaxBytes(200)]
"""A pattern of paths from the root of the repository; 1 to 200 bytes, refused beyond."""

SessionId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{2,63}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Identifier of a criterion, a step, a message: at most 64 characters."""
Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40,64}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ModelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=128)]


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A point in time that can be compared with any other: without a zone it is taken for UTC."""
Seconds = Annotated[float, Field(ge=0, le=1e9)]
"""A duration that any date can bear to be added to."""


class Contract(BaseModel):
    """Base of everything that crosses a boundary: unknown fields of a newer version are ignored, none is unbounded."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Mutable(BaseModel):
    """Base of the state that a workflow changes in place and carries through continue-as-new."""

    model_config = ConfigDict(extra="ignore", validate_assignment=True, allow_inf_nan=False)
