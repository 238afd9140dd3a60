"""The version of Overnight that runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _version() -> str:
    try:
        return version("overnight")
    except PackageNotFoundError:
        return "0+checkout"


VERSION = _version()
