"""What a workspace holds while the agent works in it, packed in a box of its own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from activities.host import Host
from activities.sandbox import EgressRules
from activities.starting import end_group, started
from activities.workspace import GATHER, MAX_FILE_BYTES, Worktree, gather_facts
from workflows.contracts.requests import Site

SECONDS = 120.0
"""A workspace that takes longer is not kept this time."""
MOST_BYTES = 2_000_000_000
_CHUNK = 1 << 16
_SETTLE_SECONDS = 10.0
_FACTS = Path("/overnight/facts")


@asynccontextmanager
async def gathered(host: Host, site: Site, worktree: Worktree) -> AsyncIterator[Path]:
    """A file with what ``gather.py`` printed, as long as the context lasts. Raises ``OSError``, ``GitError``."""
    with tempfile.TemporaryDirectory(prefix="gather-") as place:
        facts, pack = Path(place) / "facts", Path(place) / "pack"
        await gather_facts(worktree, facts)
        launcher = host.launcher
        box = replace(
            host.box(site, worktree, writable=False),
            egress=EgressRules("none"),
            tools={GATHER.name: GATHER},
            readable={_FACTS: facts},
        )
        command = [
            *(str(launcher.python), "-I", "-S", launcher.tool(GATHER.name, GATHER)),
            *(worktree.commit, str(MAX_FILE_BYTES), str(launcher.workspace(box))),
            *(str(launcher.objects(worktree.objects)), str(launcher.seen(_FACTS, facts))),
        ]
        async with launcher.open(box) as opened:
            process = await started(
                opened.program,
                *command,
                cwd=box.workspace,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                with await asyncio.to_thread(pack.open, "wb") as file:
                    async with asyncio.timeout(SECONDS):
                        await _take(process, file)
                        code = await process.wait()
            finally:
                opened.kill()
                end_group(process)
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _SETTLE_SECONDS)
        if code != 0:
            raise OSError(f"the workspace could not be packed (exit code {code}; {'; '.join(opened.notes)})")
        yield pack


async def _take(process: asyncio.subprocess.Process, file: BinaryIO) -> None:
    size = 0
    while process.stdout is not None and (chunk := await process.stdout.read(_CHUNK)):
        size += len(chunk)
        if size > MOST_BYTES:
            raise OSError(f"what the workspace holds is more than {MOST_BYTES} bytes")
        file.write(chunk)
