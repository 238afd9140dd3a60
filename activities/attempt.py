"""One attempt of an activity: it beats, it hears that it is to stop, and it comes to rest before it answers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.claude import Ledger, read_ledger
from activities.host import Host
from workflows.calls import MODEL_UNAVAILABLE
from workflows.contracts.outcome import Usage
from workflows.contracts.requests import Beat

R = TypeVar("R")

BEAT_SECONDS = 1.0


class Attempt:
    """What the work of an activity needs to know about its attempt."""

    def __init__(self, host: Host) -> None:
        info = activity.info()
        self.number = info.attempt
        self._account = host.settings.home / "ledger" / f"{info.workflow_run_id}.{info.activity_id}"
        self.stop = asyncio.Event()
        """Set when the work is to come to rest: cancelled, paused by an operator, worker leaving."""
        self.why = ""
        self.lost = False
        """A later attempt has taken this one's place: it must leave everything to that one."""
        self.earlier = _carried(list(info.heartbeat_details))
        """What earlier attempts of this activity used: it was billed, though they never answered."""
        self.usage: Callable[[], Usage] = Usage
        """What this attempt has used so far."""
        self.open_usd: Callable[[], float] = float
        """What its requests to the model that have no answer yet may cost, in USD."""
        self.doing = ""

    def take_over(self) -> None:
        """Nothing of earlier attempts runs any more: what they used on this host is known to the last response."""
        self.earlier = read_ledger(self._page(self.number - 1)) or self.earlier

    def ledger(self) -> Ledger:
        """Where what this attempt uses is on record at once."""
        return Ledger(self._page(self.number), self.earlier)

    def close(self) -> None:
        """What all attempts used is in the answer: the record is of no use any more."""
        shutil.rmtree(self._account, ignore_errors=True)

    def _page(self, number: int) -> Path:
        return self._account / f"{number}.jsonl"

    def spent(self) -> Usage:
        """What all attempts of this activity have used so far."""
        return self.earlier + self.usage()

    def unavailable(self, detail: str) -> ApplicationError:
        """The failure that lets Temporal back off, with what was used all the same."""
        self.doing = detail
        # Its own details reach the workflow when it is the last one; the next attempt sees those of a heartbeat.
        self.beat()
        return ApplicationError(detail, self._now(detail), type=MODEL_UNAVAILABLE)

    def beat(self) -> None:
        activity.heartbeat(self._now(self.doing))

    def _now(self, doing: str) -> Beat:
        return Beat(usage=self.spent(), open_usd=self.open_usd(), activity=doing)

    def halt(self, why: str, lost: bool = False) -> None:
        self.why = self.why or why
        self.lost |= lost
        self.stop.set()


async def attend(host: Host, work: Callable[[Attempt], Awaitable[R]]) -> R:
    """Run ``work`` as this activity's attempt, when a slot of the host is free.

    Beats every second, however silent the work is. A cancel, a worker that leaves, and Temporal out of reach set
    ``attempt.stop``; the work then says what it has done so far, and that is the activity's answer.
    """
    attempt = Attempt(host)
    inner = asyncio.ensure_future(_in_turn(host, attempt, work))
    helpers = [asyncio.create_task(_beats(host, attempt)), asyncio.create_task(_leaving(attempt))]
    try:
        while True:
            try:
                result = await asyncio.shield(inner)
                await asyncio.to_thread(attempt.close)
                return result
            except asyncio.CancelledError:
                if inner.cancelled():
                    raise
                attempt.halt(*_reason())
    finally:
        for helper in helpers:
            helper.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*helpers, return_exceptions=True)


async def _in_turn(host: Host, attempt: Attempt, work: Callable[[Attempt], Awaitable[R]]) -> R:
    """The host's two queues share its slots. Who is to stop needs none: it has only to say so."""
    attempt.doing = "waiting for a free slot on its host" if host.slots.locked() else attempt.doing
    turn, stopped = asyncio.create_task(host.slots.acquire()), asyncio.create_task(attempt.stop.wait())
    await asyncio.wait({turn, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not turn.done():
        turn.cancel()
        with suppress(asyncio.CancelledError):
            await turn
    held = not turn.cancelled()
    try:
        return await work(attempt)
    finally:
        if held:
            host.slots.release()


async def _beats(host: Host, attempt: Attempt) -> None:
    while True:
        attempt.beat()
        if host.pulse.is_cut_off:
            # Another worker may soon begin where this one is: what it has done so far is all that it may do.
            attempt.halt("cut off from Temporal")
        await asyncio.sleep(BEAT_SECONDS)


async def _leaving(attempt: Attempt) -> None:
    await activity.wait_for_worker_shutdown()
    attempt.halt("the worker is leaving")


def _reason() -> tuple[str, bool]:
    """Why this attempt was cancelled, in words, and whether a later one has taken its place."""
    details = activity.cancellation_details()
    if details is None or details.cancel_requested:
        return "stopped on request", False
    if details.worker_shutdown:
        return "the worker is leaving", False
    if details.paused:
        return "paused by an operator", False
    return "a later attempt has taken this one's place", True


def _carried(details: list[object]) -> Usage:
    for item in details:
        with suppress(ValidationError):
            return Beat.model_validate(item).owed()
    return Usage()
