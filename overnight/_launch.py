"""Entry points of the wheel: they put the flat packages on the path, then hand over."""

from __future__ import annotations

import signal
import sys


def _open() -> None:
    """Make ``workflows``, ``activities``, ``worker`` and ``mcp_server`` importable, ours before any namesake."""
    from overnight.base.settings import app_dir

    place = str(app_dir())
    if place not in sys.path[:1]:
        sys.path.insert(0, place)


def cli() -> None:
    """``overnight``"""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # What is imported takes a moment, in which Ctrl-C is to end it without a word. The command listens again.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open()
    from overnight.cli import main

    main()


def worker() -> None:
    """``overnight-worker``"""
    _open()
    from worker import main

    main()


def mcp() -> None:
    """``overnight-mcp``"""
    _open()
    from mcp_server import main

    main()
