"""Entry points of the wheel: they put the flat packages on the path, then hand over."""

from __future__ import annotations

import sys

from overnight.base.settings import app_dir


def _open() -> None:
    """Make ``workflows``, ``activities``, ``worker`` and ``mcp_server`` importable, ours before any namesake."""
    place = str(app_dir())
    if place not in sys.path[:1]:
        sys.path.insert(0, place)


def cli() -> None:
    """``overnight``"""
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
