"""The version of Overnight that a stack was started by."""

from __future__ import annotations

from importlib import metadata


def _version() -> str:
    try:
        return metadata.version("overnight")
    except metadata.PackageNotFoundError:  # run from a checkout that nobody installed
        return "0+checkout"


VERSION = _version()
"""Version of this code; a running stack keeps the one it was started with in ``Stack.version``."""
