"""The scripted model of many sessions at once, which holds requests until it is told otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from overnight.demo.reply import Fault, Hang, Say
from overnight.demo.script import Request, Scenario
from overnight.demo.server import ScriptedModel
from tests.chaos.moments import Turn


def turn_of(request: Request) -> Turn:
    return request.phase, request.iteration, request.turn


class Stage(Scenario):
    """Plays a scenario of its own for each session, and holds requests in it."""

    def __init__(self) -> None:
        super().__init__([])
        self.plays: dict[str, Scenario] = {}
        self.cut: dict[str, Turn] = {}
        """Session to the request whose answer begins and never ends; asked again, it is answered."""
        self.waiting: dict[str, tuple[Turn, asyncio.Event]] = {}
        """Session to the request that is answered once the event is set."""
        self.reached: set[str] = set()
        """Sessions that have made the request which is held."""
        self.cues: dict[tuple[str, Turn], Callable[[], None]] = {}
        """What is to happen when a session makes a request."""

    def reply(self, request: Request) -> Say | Fault:
        turn = turn_of(request)
        if cue := self.cues.pop((request.session, turn), None):
            cue()
        if self.cut.get(request.session) == turn:
            del self.cut[request.session]
            self.reached.add(request.session)
            return Hang(after="start")
        return self.plays[request.session].reply(request)

    async def admit(self, request: Request) -> None:
        """Wait while the request is held."""
        turn, event = self.waiting.get(request.session, (None, None))
        if event is not None and turn == turn_of(request):
            self.reached.add(request.session)
            await event.wait()

    def release(self, session: str) -> None:
        """Let a held request go on."""
        if session in self.waiting:
            self.waiting[session][1].set()


class Model(ScriptedModel):
    """The scripted model on a stage."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, keep=10_000)
        self.stage = stage

    async def _messages(self, http: HttpRequest) -> Response:
        await self.stage.admit(Request(headers=dict(http.headers), body=await http.json()))
        return await super()._messages(http)
