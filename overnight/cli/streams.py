"""The standard streams as a command finds them: closed, on a full disk, read by nobody any more."""

from __future__ import annotations

import io
import os
import sys


class Output(io.TextIOWrapper):
    """Standard output that remembers why it takes no more; without Unicode it shows question marks."""

    problem: OSError | None = None

    def write(self, text: str, /) -> int:
        """As for any text stream. Raises ``OSError``, which is remembered."""
        try:
            return super().write(text)
        except OSError as error:
            self.problem = error
            raise

    def flush(self) -> None:
        """As for any text stream. Raises ``OSError``, which is remembered."""
        try:
            super().flush()
        except OSError as error:
            self.problem = error
            raise


def prepare() -> None:
    """Make all three usable, whatever the caller left of them."""
    if isinstance(old := sys.stdout, io.TextIOWrapper):
        sys.stdout = Output(
            old.buffer,
            encoding=old.encoding,
            errors="replace",
            newline="\n",
            line_buffering=old.line_buffering,
            write_through=old.write_through,
        )
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="replace")
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed (``>&-``): it leads nowhere, and no file of ours takes its number
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 (open until the process ends)


def read_stdin(what: str) -> str:
    """All of standard input, which is to hold ``what``. Raises ``CliError`` when it is closed, empty or no text."""
    from overnight.cli.trouble import CliError

    if sys.stdin.name == os.devnull:  # as ``prepare`` left it
        raise CliError(f"standard input is closed, and - reads {what} from it")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")  # some locales let bytes through that nobody can write
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError:
        raise CliError(f"standard input is no text in UTF-8, and - reads {what} from it") from None
    if not text.strip():
        raise CliError(f"standard input is empty, and - reads {what} from it")
    return text


def problem_with_stdout() -> OSError | None:
    """Why standard output takes no more, if so."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return sys.stdout.problem if isinstance(sys.stdout, Output) else None


def abandon_stdout() -> None:
    """What is still buffered goes nowhere, without a complaint at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):  # stdout is no file, as under a test
        return
    finally:
        os.close(nowhere)
