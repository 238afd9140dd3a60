"""Whether Temporal is there: by questions that are answered, and by what it says unasked."""

from __future__ import annotations

import asyncio
import time

import pytest

from activities import pulse
from activities.pulse import Pulse


async def test_who_gets_a_task_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "CUT_OFF_SECONDS", 1.0)

    async def silence() -> None:
        await asyncio.Event().wait()

    heart = Pulse()
    async with heart.asking(silence):
        assert not heart.is_cut_off
        while not heart.is_cut_off:
            await asyncio.sleep(0.01)
        came = time.monotonic()
        assert not heart.is_cut_off_since(came)
        assert heart.is_cut_off, "a task that came says nothing to those that run already"
        while not heart.is_cut_off_since(came):
            await asyncio.sleep(0.01)
    assert not heart.is_cut_off, "nobody asks any more"
    assert not heart.is_cut_off_since(came)
