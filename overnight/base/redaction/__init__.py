"""Secrets are taken out before anything leaves: results, failures, heartbeats, logs, commits, artifacts."""

from .known import known_secrets
from .redactor import Finding, Redactor, marker, markers

__all__ = ["Finding", "Redactor", "known_secrets", "marker", "markers"]
