"""The embedded default: one Temporal server and one worker per ``OVERNIGHT_HOME``, kept alive by a small supervisor."""

from __future__ import annotations

from overnight.base.version import VERSION
from overnight.stack.control import WAITING, down, ensure_up, find
from overnight.stack.errors import StackError
from overnight.stack.model import Stack
from overnight.stack.processes import Process

__all__ = ["VERSION", "WAITING", "Process", "Stack", "StackError", "down", "ensure_up", "find"]
