"""An execute whose call has ended and whose checkpoint is not published: to publish it needs no second call."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import structlog
from pydantic import ValidationError

from activities.claude import Told
from activities.workspace import remove
from workflows.contracts.outcome import Usage
from workflows.contracts.requests import ExecuteRequest
from workflows.contracts.text import Contract

log = structlog.get_logger(__name__)


class _Ended(Contract):
    """What is kept of a call's end. What it used is in the ledger."""

    of: str
    told: Told


class Ended:
    """The end of the call for one request, in the session's folder on this host. The caller holds the session lock."""

    def __init__(self, folder: Path, request: ExecuteRequest, start: str) -> None:
        self._path = folder / "ended.json"
        # What it may still spend is no part of what was asked.
        asked = request.model_dump_json(exclude={"allowance"})
        self._of = hashlib.sha256(f"{start} {asked}".encode()).hexdigest()

    async def told(self) -> Told | None:
        """How the call for this very request ended, without what it used; None when it has not, or nobody knows."""
        try:
            kept = _Ended.model_validate_json(await asyncio.to_thread(self._path.read_bytes))
        except (OSError, ValidationError):
            return None
        if kept.of != self._of:
            return None
        return kept.told

    async def keep(self, told: Told) -> None:
        """Put it on record. A disk that does not take it costs a call, not the work."""
        kept = _Ended(of=self._of, told=replace(told, usage=Usage()))
        try:
            await asyncio.to_thread(self._path.write_text, kept.model_dump_json())
        except OSError as error:
            log.warning("the end of a call is not on record", error=str(error))

    async def drop(self) -> None:
        """It is published. What cannot be removed is another request's by the next one."""
        try:
            await asyncio.to_thread(remove, self._path)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("the end of a call stays on record", error=str(error))
