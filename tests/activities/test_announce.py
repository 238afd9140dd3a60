"""What the worker says of itself stays said, whatever happens to the file."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from activities.announce import Announcement


@pytest.mark.parametrize("damage", [b"", b'{"pid": 1', b"\xff\xfe", None])
async def test_a_lost_or_damaged_announcement_is_written_again(
    tmp_path: Path, damage: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.announce.LOOK_SECONDS", 0.01)
    announcement = Announcement(tmp_path, credential="a-fingerprint")
    async with announcement.kept():
        before = announcement.path.read_bytes()
        assert json.loads(before)["pid"] == os.getpid()
        announcement.path.unlink() if damage is None else announcement.path.write_bytes(damage)
        while not announcement.path.exists() or announcement.path.read_bytes() != before:
            await asyncio.sleep(0.005)
    assert [path.name for path in tmp_path.iterdir()] == ["worker.json"]
