"""Ways in which a model's service misbehaves, and when it does."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from overnight.demo.reply import Fault, HttpError, Reply, Say, Text
from overnight.demo.script import Request, Scenario
from tests.sessions.conftest import Stage
from tests.sessions.plays import RIGHT, TEST, by_iteration, play, write

LIMIT_SECONDS = 12
"""What is left of a limit when it is reached; Claude Code needs a second or two to end."""
BOTH_FILES: list[Reply] = [Say(write("greet.py", RIGHT), write("test_greet.py", TEST)), Text("Done.")]
"""The work, done in one turn."""


def good() -> Scenario:
    """A model that does what it is asked for at once."""
    return play(by_iteration(BOTH_FILES))


@dataclass
class Failing(Scenario):
    """A good model behind a service that answers some of the requests with ``fault``, until it is mended."""

    fault: Say | Fault
    phase: str = "execute"
    turn: int = 1
    """From this turn of the conversation on; 0 is its first request."""
    attempts: int | None = None
    """In so many attempts of the activity, the first ones; None: in all."""
    times: int | None = None
    """So many requests; None: all."""
    then: Scenario = field(default_factory=good)

    def reply(self, request: Request) -> Say | Fault:
        if not self._fails(request):
            return self.then.reply(request)
        if self.times is not None:
            self.times -= 1
        return self.fault

    def _fails(self, request: Request) -> bool:
        here = request.phase == self.phase and (request.turn >= self.turn or request.is_compaction)
        in_time = self.attempts is None or request.attempt <= self.attempts
        return here and in_time and self.times != 0

    def mend(self) -> None:
        """From now on it behaves."""
        self.times = 0


class Log(Stage):
    """A stage that knows when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.times: dict[str, list[float]] = {}

    def reply(self, request: Request) -> Say | Fault:
        self.times.setdefault(request.session, []).append(time.time())
        return super().reply(request)

    def after(self, session_id: str, moment: datetime) -> list[float]:
        """Seconds after ``moment`` of the session's requests since then."""
        return [at - moment.timestamp() for at in self.times.get(session_id, []) if at >= moment.timestamp()]


def limited(resets_at: datetime | None = None) -> HttpError:
    """A usage limit as a subscription states it."""
    headers = {"anthropic-ratelimit-unified-status": "rejected"}
    if resets_at is not None:
        headers["anthropic-ratelimit-unified-reset"] = str(int(resets_at.timestamp()))
    return HttpError(status=429, message="usage limit reached", headers=headers)


def spend_limited(until: datetime) -> HttpError:
    """A limit that an organisation has set itself, as the API states it."""
    words = (
        f"You have reached your specified API usage limits. You will regain access on {until:%Y-%m-%d at %H:%M} UTC."
    )
    return HttpError(status=400, message=words)


class Limited(Scenario):
    """A good model whose limit is reached in ``phase`` at ``turn``; it is lifted some seconds later, and not before."""

    def __init__(self, phase: str, turn: int) -> None:
        super().__init__([])
        self._phase, self._turn = phase, turn
        self._good = good()
        self.until = self.went_on = datetime.max.replace(tzinfo=UTC)
        """When the limit is lifted, and when somebody asked again after that."""
        self.refused = 0

    def is_on(self) -> bool:
        """Whether whoever asks is refused."""
        return datetime.now(UTC) < self.until

    def reply(self, request: Request) -> Say | Fault:
        now = datetime.now(UTC)
        if request.phase == self._phase and request.turn >= self._turn and now < self.until:
            if not self.refused:
                self.until = now.replace(microsecond=0) + timedelta(seconds=LIMIT_SECONDS)
            self.refused += 1
            return limited(self.until)
        if self.refused:
            self.went_on = min(self.went_on, now)
        return self._good.reply(request)


def stream(*events: Mapping[str, object]) -> HttpError:
    """Events with an end, whatever they say."""
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return HttpError(status=200, body=body, headers={"content-type": "text/event-stream"})


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
NOT_EVENTS = HttpError(
    status=200, body='event: message_start\ndata: {"type": \n\nnonsense', headers={"content-type": "text/event-stream"}
)
HTML = HttpError(
    status=502, body="<html><h1>502 Bad Gateway</h1></html>", headers={"content-type": "text/html", "server": "lb"}
)
