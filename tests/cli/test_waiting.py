"""Whoever waits for a server reads what they wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from overnight import connection
from overnight.base.examination import Finding
from overnight.base.settings import Settings
from overnight.cli import doctor
from overnight.errors import UnreachableError
from overnight.stack import WAITING, StackError


@pytest.mark.parametrize("need_worker", [True, False])
async def test_whoever_waits_for_a_server_that_runs_is_told_so_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need_worker: bool
) -> None:
    told: list[str] = []

    async def silent(*_: object) -> None:
        while not told:
            await asyncio.sleep(0.01)

    def hangs(*_: object, on_progress: Callable[[str], None], **__: object) -> None:
        while not told:
            time.sleep(0.01)
        on_progress(WAITING)
        raise StackError("it hangs")

    monkeypatch.setattr(connection, "WORDLESS_SECONDS", 0.05)
    monkeypatch.setattr(connection, "_running", lambda _: object())
    monkeypatch.setattr(connection, "_served", silent)
    monkeypatch.setattr(connection, "ensure_up", hangs)
    with pytest.raises(UnreachableError, match="it hangs"):
        await connection.open_connection(Settings(home=tmp_path), on_progress=told.append, need_worker=need_worker)
    assert told == [WAITING], "once"


def test_doctor_says_that_it_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Event()

    def slow(*, offline: bool) -> list[Finding]:
        assert heard.wait(60)
        return [Finding(name="worker program", state="green", detail=f"offline: {offline}")]

    monkeypatch.setattr(doctor, "examine_host", slow)
    found = doctor.run_checks(Settings(home=tmp_path), offline=True, on_wait=lambda _: heard.set())
    assert "offline: True" in [one.detail for one in found]
