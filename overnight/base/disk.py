"""Whether a disk still takes anything, asked of the disk itself: quotas and reserved blocks count, too."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from overnight.base.settings import Settings

NEEDED_BYTES = 1024 * 1024
"""What a disk has to take that is not full: a few seconds' worth of a session's history."""


def full(folder: Path) -> str | None:
    """What to say of a full disk under ``folder``, and what to do; None when it has room, or cannot be asked."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            os.posix_fallocate(probe.fileno(), 0, NEEDED_BYTES)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return f"The disk that holds {folder} is full. Free some space on it; sessions go on from where they are."
    return None


def with_cause(told: str) -> str:
    """``told``, which is of a Temporal or a worker that does not answer, and why, if the home's disk is full."""
    try:
        said = full(Settings().home)
    except (ValidationError, ValueError):
        return told
    return told if said is None or said in told else f"{told}\n{said}"
