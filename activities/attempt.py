"""One attempt of an activity: it beats, it hears that it is to stop, and it comes to rest before it answers."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.claude import Ledger, read_ledger
from activities.host import Host
from activities.workspace import VaultAwayError
from workflows.calls import MODEL_UNAVAILABLE, VAULT_AWAY
from workflows.contracts.outcome import Account, CallReport, Usage
from workflows.contracts.requests import Beat, Site

R = TypeVar("R")
T = TypeVar("T")

BEAT_SECONDS = 1.0
ACCOUNTS = 20
"""Of the calls of one run, on disk: an answer that Temporal never got may still be asked for again."""


class StoppedError(Exception):
    """The attempt is to come to rest, and there is nothing to tell but that."""


class Attempt:
    """What the work of an activity needs to know about its attempt."""

    def __init__(self, host: Host) -> None:
        info = activity.info()
        self.came = time.monotonic()
        """When Temporal handed it out."""
        self.number = info.attempt
        self._account = host.settings.home / "ledger" / str(info.workflow_run_id) / info.activity_id
        self.stop = asyncio.Event()
        """Set when the work is to come to rest: cancelled, paused by an operator, worker leaving."""
        self.why = ""
        self.lost = False
        """A later attempt has taken this one's place: it must leave everything to that one."""
        self._redactor = host.redactor
        self._heard = _heard(list(info.heartbeat_details))
        self._began: float | None = None
        self.earlier = self._heard.owed()
        """What earlier attempts of this activity used: it was billed, though they never answered."""
        self._settled: list[Account] = []
        self._goes_on = False
        self.usage: Callable[[], Usage] = Usage
        """What this attempt has used so far."""
        self.open_usd: Callable[[], float] = float
        """What its requests to the model that have no answer yet may cost, in USD."""
        self.doing = ""

    async def begin(self) -> None:
        """Its turn has come: from now on its time counts. Accounts that nobody asks about any more go."""
        self._began = time.monotonic()
        if self.number == 1:
            await asyncio.to_thread(_forget, self._account.parent)

    def take_over(self, site: Site) -> None:
        """Nothing of earlier attempts runs any more: what they used on this host is known to the last response.

        An attempt that asked nothing has no page; one that beat after the last page was another host's. So it is with
        calls before this one that never answered, since this host was away for too long.
        """
        if self._goes_on:
            return
        for number in range(self.number - 1, max(0, self._heard.attempt - 1), -1):
            if (used := read_ledger(self._page(number))) is not None:
                self.earlier = used
                break
        self._settled = [found for one in site.unsettled if (found := self._found(one)) is not None]

    def _found(self, charged: Account) -> Account | None:
        """What a call of this session really used, if this host has its last page."""
        folder = self._account.parent.parent / charged.run / charged.activity
        numbers = sorted((int(page.stem) for page in folder.glob("*.jsonl") if page.stem.isdecimal()), reverse=True)
        for number in numbers:
            if number >= charged.attempt and (used := read_ledger(folder / f"{number}.jsonl")) is not None:
                return charged.model_copy(update={"attempt": number, "usage": used})
        return None

    def go_on(self) -> None:
        """One more call follows in this attempt: what was used so far counts as earlier."""
        self.earlier, self.usage, self._goes_on = self.spent(), Usage, True

    def ledger(self) -> Ledger:
        """Where what this attempt uses is on record at once."""
        return Ledger(self._page(self.number), self.earlier)

    def _page(self, number: int) -> Path:
        return self._account / f"{number}.jsonl"

    def spent(self) -> Usage:
        """What all attempts of this activity have used so far."""
        return self.earlier + self.usage()

    def in_all(self, answer: R) -> R:
        """``answer`` with what others worked and used that never answered: it counts all the same."""
        if not isinstance(answer, CallReport):
            return answer
        return answer.model_copy(update={"seconds": answer.seconds + self._heard.seconds, "settled": self._settled})

    def unavailable(self, detail: str) -> ApplicationError:
        """The failure that lets Temporal back off, with what was used all the same."""
        return self.failed(detail, MODEL_UNAVAILABLE)

    def failed(self, detail: str, kind: str) -> ApplicationError:
        """A failure that says what was used all the same."""
        self.doing = self._redactor.text(detail)
        # Its own details reach the workflow when it is the last one; the next attempt sees those of a heartbeat.
        self.beat()
        return ApplicationError(detail, self._now(self.doing), type=kind)

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` brings, which may be cancelled at any moment. Raises ``StoppedError`` at a stop, when it is."""
        doing, stopped = asyncio.create_task(work), asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not doing.done():
                doing.cancel()
                await asyncio.wait({doing})
        if doing.cancelled():
            raise StoppedError(self.why)
        return doing.result()

    def beat(self) -> None:
        activity.heartbeat(self._now(self.doing))

    def _now(self, doing: str) -> Beat:
        return Beat(
            usage=self.spent(),
            open_usd=self.open_usd(),
            activity=doing,
            attempt=self.number,
            seconds=self._heard.seconds + (time.monotonic() - self._began if self._began is not None else 0.0),
        )

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
                return attempt.in_all(await asyncio.shield(inner))
            except asyncio.CancelledError:
                if inner.cancelled():
                    raise
                attempt.halt(*_reason())
            except ApplicationError as failure:
                if failure.details:
                    raise
                raise attempt.failed(failure.message, failure.type or "ApplicationError") from failure
            except VaultAwayError as error:
                raise attempt.failed(str(error), VAULT_AWAY) from error
            except Exception as error:
                raise attempt.failed(str(error), type(error).__name__) from error
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
        await attempt.begin()
        return await work(attempt)
    finally:
        if held:
            host.slots.release()


async def _beats(host: Host, attempt: Attempt) -> None:
    while True:
        attempt.beat()
        if host.pulse.is_cut_off_since(attempt.came):
            # Another worker may soon begin where this one is: what it has done so far is all that it may do.
            attempt.halt("cut off from Temporal")
        await asyncio.sleep(BEAT_SECONDS)


async def _leaving(attempt: Attempt) -> None:
    await activity.wait_for_worker_shutdown()
    attempt.halt("the worker is leaving")


def _forget(accounts: Path) -> None:
    """All but the latest accounts; other activities of the run may be doing the same."""
    with suppress(OSError):
        for account in sorted(accounts.iterdir(), key=lambda path: path.stat().st_mtime)[:-ACCOUNTS]:
            shutil.rmtree(account, ignore_errors=True)


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


def _heard(details: list[object]) -> Beat:
    for item in details:
        with suppress(ValidationError):
            return Beat.model_validate(item)
    return Beat()
