"""What ``worker.py --check --json`` says of its host: the contract between the worker and ``overnight doctor``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Finding(BaseModel):
    """One thing that was looked at."""

    name: str
    state: Literal["green", "yellow", "red"]
    detail: str
    lines: list[str] = []
    """More of it, one line each."""
    fix: str = ""
    """What to do when it is not green."""


class Examination(BaseModel):
    """All findings; red ones keep sessions from running."""

    findings: list[Finding]

    @property
    def ok(self) -> bool:
        return all(f.state != "red" for f in self.findings)

    def as_text(self) -> str:
        return "\n".join(line for finding in self.findings for line in _lines(finding))


def _lines(found: Finding) -> list[str]:
    fix = f" -> {found.fix}" if found.fix else ""
    return [f"{found.state}: {found.name}: {found.detail}{fix}", *(f"  {line}" for line in found.lines)]
