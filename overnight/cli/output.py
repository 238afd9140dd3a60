"""Where commands write: words for people, one JSON object per line for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 160
"""Columns where there is no terminal to fit into."""


def console(*, stderr: bool = False) -> Console:
    """A console that takes text as it is: no markup, no emoji, no guesses at what to highlight."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _WIDTH
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width)


def on_terminal() -> bool:
    """Whether a person reads the output."""
    return sys.stdout.isatty()


def say(text: str = "") -> None:
    """A line on stdout, at once: whoever reads along sees it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A line on stderr, which programs that read stdout do not see; where nobody takes it, it is not said."""
    with suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def as_json(value: BaseModel | Mapping[str, Any] | list[Any]) -> None:
    """One object as one line of JSON."""
    say(value.model_dump_json() if isinstance(value, BaseModel) else json.dumps(value, default=str))
