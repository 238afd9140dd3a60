"""Secrets are taken out before anything leaves: results, failures, heartbeats, logs, commits, artifacts."""

from .known import known_secrets
from .redactor import KNOWN_VALUE, NOT_EXAMINED, Finding, Redactor, SlowTextError, marker, markers
from .values import is_made_up

__all__ = [
    "KNOWN_VALUE",
    "NOT_EXAMINED",
    "Finding",
    "Redactor",
    "SlowTextError",
    "is_made_up",
    "known_secrets",
    "marker",
    "markers",
]
