"""How long work rests after kill -9, of the worker and of Claude Code: until what was cut off asks the model again."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from benchmarks import bare
from benchmarks.figures import Figure
from benchmarks.models import ROUND_SECONDS, Held, Watched, until
from overnight.request import NewSession
from tests.chaos import moments
from tests.chaos.yard import Held as OnStage
from tests.chaos.yard import Yard, command_lines, patiently, yard
from workflows.contracts.state import Status

CHECK = "test -f note-1.txt"


async def measure(rounds: int) -> list[Figure]:
    """Each round kills a Claude Code in one session, then the worker of two others: in an answer, and in a tool."""
    claude: list[float] = []
    begun: list[float] = []
    in_answer: list[float] = []
    in_tool: list[float] = []
    alone: list[float] = []
    async with yard() as place:
        for number in range(rounds):
            if number:
                # A new supervisor: the old one holds a worker back that dies again within a minute.
                await place.down()
                await place.up()
            async with _in_time(place, "Claude Code killed"):
                claude.append(await _kill_claude(place, f"claude-{number}"))
            async with _in_time(place, "worker killed"):
                new, answer, tool = await _kill_worker(place, number)
            begun.extend(new)
            in_answer.append(answer)
            in_tool.append(tool)
            with tempfile.TemporaryDirectory(prefix="overnight-benchmark-") as folder:
                async with _in_time(place, "bare loop"):
                    alone.append(await _bare(Path(folder)))
    of = "kill -9 of Claude Code, a loop that resumes it"
    return [
        Figure("worker killed: next attempt begins", "s", begun, alone, of),
        Figure("worker killed in an answer: asks again", "s", in_answer, alone, of),
        Figure("worker killed in a tool: asks again", "s", in_tool, alone, of),
        Figure("Claude Code killed: asks again", "s", claude, alone, of),
    ]


@asynccontextmanager
async def _in_time(place: Yard, what: str) -> AsyncIterator[None]:
    """A part of a round; if it comes to no end, the error tells where the sessions are."""
    try:
        async with asyncio.timeout(ROUND_SECONDS):
            yield
    except TimeoutError:
        newest = await place.sessions.list(limit=3)
        where = [f"{one.session_id}: {one.status.value} {one.phase} {one.reason}".strip() for one in newest]
        raise TimeoutError(f"{what}: no end after {ROUND_SECONDS} s; {'; '.join(where)}") from None


async def _start(place: Yard, name: str, play: Held) -> str:
    session = f"{name}-{place.nonce}"
    place.stage.plays[session] = play
    asked = NewSession.parse(session_id=session, goal="Write a note.", validation_command=CHECK)
    await patiently(lambda: place.sessions.start(asked))
    return session


async def _kill_claude(place: Yard, name: str) -> float:
    play = Held()
    session = await _start(place, name, play)
    await play.held()
    place.kill_claude(session)
    took = await play.next_after(place.killed_at) - place.killed_at
    await _end(place, [session])
    return took


async def _kill_worker(place: Yard, number: int) -> tuple[list[float], float, float]:
    mark = f"tool-{number}-{place.nonce}"
    answer, tool = Held(), Held(tool=f"exec -a {mark} sleep 600")
    sessions = [await _start(place, f"answer-{number}", answer), await _start(place, f"in-tool-{number}", tool)]
    await answer.held()
    await until(lambda: any(line.startswith(mark) for line in command_lines(mark)))
    place.kill("worker")
    killed = place.killed_at
    cut_off = [OnStage(session, moments.STREAM) for session in sessions]
    begun = await asyncio.gather(*(place.next_attempt(one) for one in cut_off))
    asked = [await play.next_after(killed) - killed for play in (answer, tool)]
    await _end(place, sessions)
    return list(begun), asked[0], asked[1]


async def _end(place: Yard, sessions: Sequence[str]) -> None:
    for one in sessions:
        known, late = await place.sessions.wait([one], until="attention", timeout_seconds=60)
        assert not late, one
        assert known[0].status is Status.COMPLETED, (one, known[0].reason)


async def _bare(folder: Path) -> float:
    """A loop that makes its call again until it ends well."""
    play = Held()
    conversation = str(uuid4())
    call = bare.Call("execute", 1, "Write a note.")
    first = bare.quoted(bare.command(call, "--session-id", conversation), call)
    again = bare.quoted(bare.command(call, "--resume", conversation), call)
    line = ["bash", "-c", f"{first} || until {again}; do :; done"]
    async with Watched(play) as model, bare.started(line, model.url, folder) as shell:
        await play.held()
        # Without a transcript there is nothing to resume, and the loop would try for ever.
        await until(lambda: any((folder / "config").rglob("*.jsonl")))
        process = await bare.claude_of(shell.pid)
        killed = time.time()
        process.kill()
        return await play.next_after(killed) - killed
