"""Whether Temporal can be reached from this worker: who cannot has to stop before another takes its place."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import structlog
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client

from workflows.calls import HEARTBEAT

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 1.0
ANSWER_SECONDS = 1.5
CUT_OFF_SECONDS = HEARTBEAT.total_seconds() / 2
"""Half the heartbeat time-out (design, section 1.9): an attempt that is silent for so long stops itself."""


class Pulse:
    """Asks Temporal once a second whether it is there."""

    def __init__(self) -> None:
        self._last: float | None = None

    @property
    def is_cut_off(self) -> bool:
        """Whether nobody answered for ``CUT_OFF_SECONDS``; False while nobody asks."""
        return self.is_cut_off_since(-math.inf)

    def is_cut_off_since(self, moment: float) -> bool:
        """The same for whoever heard from Temporal itself at that moment of the monotonic clock.

        A task that it handed out came from there. To others, whose beats perhaps never arrive, that says nothing.
        """
        return self._last is not None and time.monotonic() - max(self._last, moment) > CUT_OFF_SECONDS

    @asynccontextmanager
    async def asking(self, ask: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
        """Ask as long as the context lasts, by ``ask``, which raises when there is no answer."""
        self._last = time.monotonic()
        task = asyncio.create_task(self._go_on(ask))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self._last = None

    async def _go_on(self, ask: Callable[[], Awaitable[object]]) -> None:
        while True:
            was = self.is_cut_off
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await ask()
                self._last = time.monotonic()
            except Exception as error:
                if self.is_cut_off and not was:
                    log.warning("cut off from Temporal: running calls stop", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)


async def is_there(client: Client) -> None:
    """Return when Temporal answers. Raises what the client raises."""
    await client.workflow_service.get_system_info(
        GetSystemInfoRequest(), retry=False, timeout=timedelta(seconds=ANSWER_SECONDS)
    )
