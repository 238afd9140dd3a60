"""What a person says to a running workflow: signals, each applied to the state once, and told to its children."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    # Our own pure modules: one copy per process keeps the sandbox's memory and start-up small.
    from workflows.contracts.messages import Cancel, Message, Pause, Resume, Steer
    from workflows.policy import inbox
    from workflows.policy.inbox import M

from workflows.gated import Gated
from workflows.signals import any_payload, plain, several

CROWD = 200
"""Messages that came at one moment, while nobody listened say: of more, those that change nothing are only counted."""


class Heard(Gated):
    """A workflow that listens: ``pause``, ``resume``, ``steer``, ``cancel``, and whatever nobody knows."""

    outbox: list[tuple[str, Message]] | None = None
    """Messages that children which run now are to get; absent while there are none."""

    def __init__(self) -> None:
        super().__init__()
        self._moment: datetime | None = None
        self._came = 0
        """Messages at this moment."""
        self._left_out = 0
        """Of those, how many are on no record yet."""

    @workflow.signal(name="pause", description='a reason, or {"reason": "...", "when": "turn" | "now"}')
    @any_payload
    def on_pause(self, payload: RawValue) -> None:
        if self.crowds(changes=not (self.state.paused_by and self.interrupt_any)):
            return
        if message := self.received(Pause, "pause", payload):
            stops = message.when == "now" and not self.interrupt_any
            if self._came > CROWD and self.state.paused_by and not stops:
                self._leave_out()
                return
            inbox.pause(self.state, workflow.now(), message)
            self._pass_on("pause", message)
            self.interrupt_any |= message.when == "now"

    @workflow.signal(name="resume", description='nothing, or {"reason": "..."}')
    @any_payload
    def on_resume(self, payload: RawValue) -> None:
        held_up = self.state.paused_by is not None or self.state.wait_until is not None or self.interrupt_any
        if self.crowds(changes=held_up):
            return
        if message := self.received(Resume, "resume", payload):
            self.let_go_on(message)

    @workflow.signal(name="steer", description='guidance, or {"guidance": "...", "when": "next_step" | "now"}')
    @any_payload
    def on_steer(self, payload: RawValue) -> None:
        if self.crowds(changes=not inbox.is_full(self.state)):
            return
        if message := self.received(Steer, "steer", payload):
            taken = inbox.steer(self.state, workflow.now(), message)
            if taken is not None:
                self._pass_on("steer", message.model_copy(update={"id": taken}))
            self.interrupt_execute |= taken is not None and message.when == "now"

    @workflow.signal(name="cancel", description='nothing, or {"reason": "..."}')
    @any_payload
    def on_cancel(self, payload: RawValue) -> None:
        if self.crowds(changes=self.state.cancelled_by is None):
            return
        if message := self.received(Cancel, "cancel", payload):
            inbox.cancel(self.state, workflow.now(), message)
            self.interrupt_any = True

    @workflow.signal(dynamic=True, description="what nobody knows is put on record")
    def on_unknown(self, name: str, payloads: Sequence[RawValue]) -> None:
        if self.crowds(changes=False):
            self.state.messages_lost += 1
            return
        inbox.lost(self.state, workflow.now(), name, "no such signal", inbox.shown(several(payloads)))
        self.show_details()

    def let_go_on(self, message: Resume) -> None:
        """Whatever held it up is forgotten, but a cancel."""
        inbox.resume(self.state, workflow.now(), message)
        self.interrupt_any = self.state.cancelled_by is not None

    def received(self, kind: type[M], name: str, payload: RawValue) -> M | None:
        """A signal as its model, once; what does not parse becomes an event that says so."""
        crowd = self._came > CROWD
        message = inbox.parse(self.state, workflow.now(), kind, name, plain(payload), crowd=crowd)
        if crowd and message is None:
            self._leave_out()
        return message if message is not None and inbox.is_new(self.state, message) else None

    def crowds(self, *, changes: bool) -> bool:
        """Count a message: whether it is one of a crowd and ``changes`` nothing, so that nobody need look at it."""
        if self._moment != workflow.now():
            self._moment, self._came = workflow.now(), 0
        self._came += 1
        if changes or self._came <= CROWD:
            return False
        self._leave_out()
        return True

    def _leave_out(self) -> None:
        if not self._left_out:
            # Its turn comes after all that came with this one.
            asyncio.get_running_loop().call_soon(self._tell_of_crowd)
        self._left_out += 1

    def _tell_of_crowd(self) -> None:
        inbox.crowded_out(self.state, workflow.now(), self._left_out)
        self._left_out = 0

    def _pass_on(self, name: str, message: Message) -> None:
        if self.outbox is not None:
            self.outbox.append((name, message))
