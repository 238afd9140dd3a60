"""Asking the person at the terminal, also while an event loop runs, which would keep a Ctrl-C to itself."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from overnight.cli.trouble import CliError


def confirm(question: str, *, default: bool = False) -> bool:
    """Yes or no. Raises ``typer.Abort`` for Ctrl-C and for the end of input."""
    import typer

    with _on_ctrl_c(signal.default_int_handler):
        return typer.confirm(question, default=default, err=True)


def words(question: str) -> str:
    """What the person types. Raises ``typer.Abort`` for Ctrl-C and for the end of input."""
    import typer

    with _on_ctrl_c(signal.default_int_handler):
        said: str = typer.prompt(question, err=True)
    return said


def open_editor(file: Path) -> None:
    """Let the person edit a file, with $VISUAL or $EDITOR. Raises ``CliError`` when that fails."""
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        # A Ctrl-C there is for the editor: no word to us, after which what was written would be lost.
        with _on_ctrl_c(lambda _number, _frame: None):
            ended = subprocess.run([*shlex.split(chosen), str(file)], check=False).returncode
    except (OSError, ValueError) as error:
        raise CliError(f"the editor {chosen!r} cannot be started ({error}); set VISUAL or EDITOR") from None
    if ended:
        raise CliError(f"the editor {chosen!r} ended with {ended}; nothing was done")


@contextmanager
def _on_ctrl_c(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
