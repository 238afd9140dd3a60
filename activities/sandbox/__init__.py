"""The one launcher for everything that runs untrusted code."""

from activities.sandbox.isolation import Isolation, find_isolation
from activities.sandbox.launcher import Box, Launcher, NotIsolatedError
from activities.sandbox.process import Ended, run_command

__all__ = ["Box", "Ended", "Isolation", "Launcher", "NotIsolatedError", "find_isolation", "run_command"]
