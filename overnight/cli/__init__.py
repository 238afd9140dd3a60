"""The command line: a thin face on ``overnight.client``.

Exit codes (``overnight.cli.codes``):

==== =====================================================================
0    success
1    the session failed or was cancelled
2    bad usage or bad input; nothing was changed
3    no session has this id
4    Temporal or a worker does not answer
5    the session is paused and waits for a person (only under ``--wait``)
6    not ready: no credential, no isolation, or ``doctor`` shows red
70   an error inside Overnight
74   the output could not be written, as on a full disk; what was done is done
130  Ctrl-C: the command ended, the session goes on
141  whoever read the output left (as in ``overnight diff ID | head``)
==== =====================================================================

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from overnight.base.finish import finish
from overnight.cli import streams
from overnight.cli.codes import Code


def main() -> None:
    """Entry point of ``overnight``: runs the command on the command line and ends the process with its code."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as the entry point left it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    streams.prepare()
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # a second Ctrl-C, while the first one was being answered
        code = Code.DETACHED
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    finish(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; whatever goes wrong is said in words, never as a traceback."""
    from overnight.cli import trouble

    try:
        from overnight.cli.app import app

        result = app(list(arguments) or ["--help"], prog_name="overnight", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return Code.DETACHED
    except BrokenPipeError as error:
        return _without_output(error)
    except SystemExit as error:  # how typer and rich end a command whose reader left
        streams.abandon_stdout()
        return error.code if isinstance(error.code, int) and error.code != 1 else Code.PIPE
    except Exception as error:
        if (problem := streams.problem_with_stdout()) is not None:
            return _without_output(problem)
        try:
            return trouble.tell(error, arguments)
        except OSError as unwritten:
            return _without_output(unwritten)
    return result if isinstance(result, int) else Code.OK


def _without_output(problem: OSError) -> Code:
    streams.abandon_stdout()
    if isinstance(problem, BrokenPipeError):
        return Code.PIPE
    from overnight.cli.output import note

    note(f"error: the output could not be written ({problem.strerror}); what the command did is done all the same")
    return Code.OUTPUT
