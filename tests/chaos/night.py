"""Many sessions, each held at a moment of its own, and one blow that hits them all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psutil

from tests.chaos.moments import Kind, Moment
from tests.chaos.story import Story
from tests.chaos.yard import POLL_SECONDS, Held, Yard, command_lines, is_there, processes_of


@dataclass
class Night:
    """What became of the sessions."""

    undisturbed: Mapping[Kind, Story]
    stories: dict[str, Story] = field(default_factory=dict)
    """By the name of the moment."""
    recovered: dict[str, float] = field(default_factory=dict)
    """Seconds from the blow to the next attempt of what was cut off."""
    due: dict[str, float] = field(default_factory=dict)
    """Seconds from the blow within which that has to be."""
    orphaned: dict[str, float] = field(default_factory=dict)
    """Seconds from the blow until something was last seen to run that the session had started in a sandbox."""

    def add(self, more: Night) -> None:
        """Take in what became of other sessions."""
        self.stories |= more.stories
        self.recovered |= more.recovered
        self.due |= more.due
        self.orphaned |= more.orphaned

    def of(self, moment: Moment) -> tuple[Story, Story]:
        """What became of the session that was hit at a moment, and of one that was never hit."""
        return self.stories[moment.name], self.undisturbed[moment.kind]


Blow = Callable[[Yard, Sequence[Held]], Awaitable[None]]


async def peace(yard: Yard, kinds: Sequence[Kind]) -> dict[Kind, Story]:
    """A session of each kind that nothing happens to."""
    held = {kind: await yard.start(None, f"undisturbed-{kind}", kind=kind) for kind in kinds}
    return {kind: await yard.end(one) for kind, one in held.items()}


async def strike(
    yard: Yard,
    moments: Sequence[Moment],
    blow: Blow,
    undisturbed: Mapping[Kind, Story],
    *,
    cut: bool,
    cuts_attempts: bool = False,
) -> Night:
    """Hold a session at each of the moments, strike, and see them all to their ends.

    ``cut``: the blow ends calls of Claude Code. ``cuts_attempts``: it ends attempts, and Temporal makes another one.
    """
    await yard.up()
    yard.blows += 1
    held = [await yard.start(moment, f"{moment.name}-{yard.blows}", cut=cut) for moment in moments]
    await yard.reached(*held)
    running = {one.name: list(processes_of(one.name, yard.settings.home)) for one in held}
    await blow(yard, held)
    night = Night(undisturbed)
    if cut:
        await asyncio.gather(*(_until_gone(yard, one, running[one.name], night) for one in held))
    for one in held:
        yard.release(one)
    if cuts_attempts:
        seconds = await asyncio.gather(*(yard.next_attempt(one) for one in held))
        night.recovered = {one.moment.name: took for one, took in zip(held, seconds, strict=True) if one.moment}
        night.due = dict.fromkeys(night.recovered, yard.due())
    for one in held:
        assert one.moment is not None
        night.stories[one.moment.name] = await yard.end(one)
    return night


async def _until_gone(yard: Yard, held: Held, running: Sequence[psutil.Process], night: Night) -> None:
    """Until nothing is left of what ran in the session's sandbox: only then is a gate opened."""
    assert held.moment is not None
    seen = looked = yard.killed_at
    while any(map(is_there, running)) or any(command_lines(held.gate(which)) for which in held.gates):
        # A look takes long on a busy machine: what it found was there when it began.
        seen = looked
        await asyncio.sleep(POLL_SECONDS)
        looked = time.time()
    night.orphaned[held.moment.name] = seen - yard.killed_at


async def kill_worker(yard: Yard, held: Sequence[Held]) -> None:
    del held
    yard.kill("worker")


async def kill_server(yard: Yard, held: Sequence[Held]) -> None:
    del held
    [dead] = yard.kill("server")
    await yard.healthy(but=dead)


async def kill_claude(yard: Yard, held: Sequence[Held]) -> None:
    for one in held:
        yard.kill_claude(one.name)


async def terminate_worker(yard: Yard, held: Sequence[Held]) -> None:
    """Whoever stops in the worker itself goes on while it leaves."""
    leaving = yard.terminate_worker()
    for one in held:
        if one.moment is not None and one.moment.place is not None:
            yard.release(one)
    await yard.healthy(but=leaving)


async def down_and_up(yard: Yard, held: Sequence[Held]) -> None:
    del held
    await yard.down()
    await yard.up()


async def reboot(yard: Yard, held: Sequence[Held]) -> None:
    """All processes at once, nobody is left to start anything; then somebody does."""
    del held
    yard.kill("supervisor", "server", "worker")
    await yard.up()


async def kill_supervisor(yard: Yard, held: Sequence[Held]) -> None:
    del held
    yard.kill("supervisor")


async def kill_supervisor_and_worker(yard: Yard, held: Sequence[Held]) -> None:
    del held
    yard.kill("supervisor", "worker")
    await yard.up()


async def stay_away(yard: Yard, held: Sequence[Held]) -> None:
    """Supervisor and worker at once; somebody starts them when nobody waits for this host any more."""
    yard.kill("supervisor", "worker")
    for one in held:
        while not await yard.given_up(one):
            await asyncio.sleep(POLL_SECONDS)
    await yard.up()


async def kill_supervisor_and_server(yard: Yard, held: Sequence[Held]) -> None:
    """Nobody brings Temporal back before what the worker had under way has come to rest."""
    running = [process for one in held for process in processes_of(one.name, yard.settings.home)]
    yard.kill("supervisor", "server")
    while any(map(is_there, running)):
        await asyncio.sleep(POLL_SECONDS)
    await yard.up()
