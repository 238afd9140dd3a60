"""For all tests: Ctrl-C means what it means at a terminal, also where the whole run was started in the background."""

from __future__ import annotations

import signal

import pytest

# A shell's background job ignores SIGINT, and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONG = (
    "workflows/test_for_ever",
    "chaos/",
    "fooled/",
    "failures/",
    "sessions/",
    "cli/",
    "mcp/",
    "stack/",
    "workflows/test_interleavings",
)
"""Files that take long. A file runs on one core: those that begin last keep everybody waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; those of a folder one after the other, since they share what takes long to start."""
    items.sort(key=lambda item: next((n for n, part in enumerate(LONG) if part in item.nodeid), len(LONG)))
