"""The one launcher for everything that runs untrusted code."""

from activities.sandbox.door import Service
from activities.sandbox.egress import EgressRules
from activities.sandbox.isolation import Isolation, find_isolation
from activities.sandbox.launcher import Box, Launcher, NotIsolatedError, Opened
from activities.sandbox.process import Ended, run_command

__all__ = [
    "Box",
    "EgressRules",
    "Ended",
    "Isolation",
    "Launcher",
    "NotIsolatedError",
    "Opened",
    "Service",
    "find_isolation",
    "run_command",
]
