"""Exit codes: the contract with scripts."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """How a command ended."""

    OK = 0
    SESSION_FAILED = 1
    """The session failed or was cancelled."""
    USAGE = 2
    """Bad usage or bad input; nothing was changed."""
    UNKNOWN = 3
    """No session has this id."""
    UNREACHABLE = 4
    """Temporal or a worker does not answer."""
    PAUSED = 5
    """The session is paused, or waits for an approval: a person is needed; only under ``--wait``."""
    NOT_READY = 6
    """The installation cannot run sessions: credential, isolation, or something that ``doctor`` shows red."""
    BUG = 70
    """An error inside Overnight."""
    OUTPUT = 74
    """The output could not be written, as on a full disk; what the command did is done all the same."""
    DETACHED = 130
    """Ctrl-C: this command ended, the session goes on."""
    PIPE = 141
    """Whoever read the output left."""


EPILOG = (
    "Exit codes: 0 success · 1 session failed or was cancelled · 2 usage or bad input · 3 unknown session · "
    "4 engine unreachable · 5 paused or waiting for approval (under --wait) · 6 not ready (credential, isolation) · "
    "70 internal error · 74 output not writable · 130 detached by Ctrl-C"
)
