"""The one way out of a short-lived process that used temporalio."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn


def finish(code: int) -> NoReturn:
    """End the process with ``code`` after everything is flushed.

    Not ``sys.exit``: the SDK's threads abort the interpreter at its exit now and then (temporalio/sdk-python#300).
    """
    if (tracing := sys.modules.get("overnight.base.tracing")) is not None:  # else there is nothing to flush
        with suppress(Exception):
            tracing.flush_traces()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    logging.shutdown()
    os._exit(code)
