"""From what was raised to one clear message and an exit code."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from overnight.cli.codes import Code


class CliError(Exception):
    """Something that the person can mend, in words."""

    def __init__(self, message: str, code: Code = Code.USAGE) -> None:
        super().__init__(message)
        self.code = code


def tell(error: Exception, arguments: Sequence[str]) -> Code:
    """Say what went wrong, on stderr in words or, where ``--json`` was asked for, on stdout as an object.

    Raises ``OSError`` when stdout takes no more.
    """
    message, code = in_words(error)
    if "--json" in arguments:
        sys.stdout.write(json.dumps({"error": message, "code": int(code)}) + "\n")
        sys.stdout.flush()
    else:
        from overnight.cli.output import note

        note(f"error: {message}")
    return code


def in_words(error: Exception) -> tuple[str, Code]:
    """Message and exit code of an error; one that nobody expected is written to a log."""
    known = _known(error) or _usage(error)
    return known or (_unexpected(error), Code.BUG)


def _known(error: Exception) -> tuple[str, Code] | None:
    from overnight import errors
    from overnight.stack import StackError

    if isinstance(error, CliError):
        return str(error), error.code
    if isinstance(error, errors.InvalidRequestError):
        from overnight.base.wording import reworded
        from overnight.cli.options import in_options

        return in_options(reworded(str(error))), Code.USAGE
    codes: tuple[tuple[type[Exception], Code], ...] = (
        (errors.UnknownSessionError, Code.UNKNOWN),
        (errors.UnreachableError, Code.UNREACHABLE),
        (StackError, Code.UNREACHABLE),
        (errors.NotReadyError, Code.NOT_READY),
        (errors.SessionError, Code.USAGE),
    )
    found = next((code for kind, code in codes if isinstance(error, kind)), None)
    if found is None:
        return _homeless(error)
    from overnight.base import disk

    return (disk.with_cause(str(error)) if found is Code.UNREACHABLE else str(error)), found


def _homeless(error: Exception) -> tuple[str, Code] | None:
    """What is wrong with the place of whoever called, where that is what was raised."""
    try:
        Path.home(), Path.cwd()
    except RuntimeError:
        known = isinstance(error, RuntimeError)
        return ("no home folder of yours is known; set HOME", Code.NOT_READY) if known else None
    except FileNotFoundError:
        known = isinstance(error, FileNotFoundError)
        return ("the folder that you stand in is gone; go to another one", Code.USAGE) if known else None
    return None


def _usage(error: Exception) -> tuple[str, Code] | None:
    from typer import Abort, TyperException

    if isinstance(error, Abort):
        return "nothing was done", Code.USAGE
    if not isinstance(error, TyperException):
        return None
    context = getattr(error, "ctx", None)
    where = f" (see `{context.command_path} --help`)" if context is not None else ""
    from overnight.base.redaction import Redactor
    from overnight.base.wording import reworded

    told = reworded(error.format_message() if hasattr(error, "format_message") else str(error))
    # It repeats what was given, which may have been meant for another option.
    return f"{' '.join(Redactor().text(str(told)).split())}{where}", Code.USAGE


def _unexpected(error: Exception) -> str:
    kind = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if os.environ.get("OVERNIGHT_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
        return f"unexpected {kind}"
    log = _log(error)
    where = f"the traceback is in {log}" if log else "OVERNIGHT_LOG_LEVEL=debug shows the traceback"
    return f"unexpected {kind} ({where})"


def _log(error: Exception) -> Path | None:
    from overnight.base.settings import Settings

    with contextlib.suppress(Exception):
        log = Settings().logs / "cli.log"
        if log.parent.is_dir():
            with log.open("a", encoding="utf-8") as file:
                file.write(f"=== {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n")
                file.writelines(traceback.format_exception(error))
            return log
    return None
