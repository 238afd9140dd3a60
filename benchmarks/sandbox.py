"""What a box costs: the same command bare and in a box, one after the other, many times.

``python -m benchmarks.sandbox [ROUNDS]`` prints a table; the design asks for less than 50 ms a command.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from activities.sandbox import Box, Launcher, find_isolation, run_command
from overnight.base.settings import Settings

COMMAND = "true"


async def bare() -> None:
    """The command as the worker would start it without a box."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-o", "pipefail", "-c", COMMAND),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    await process.communicate()


async def timed(what: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await what()
    return (time.perf_counter() - began) * 1000


async def measure(rounds: int, folder: Path) -> tuple[list[float], list[float], str]:
    """Milliseconds of bare and of boxed commands, taken in turns."""
    (folder / "work").mkdir()
    isolation = await asyncio.to_thread(find_isolation)
    launcher = Launcher(Settings(home=folder / "home"), isolation)
    box = Box(workspace=folder / "work")

    async def boxed() -> None:
        await run_command(launcher, box, COMMAND, seconds=60, log=folder / "log", stop=asyncio.Event())

    for warm in (bare, boxed):
        await warm()
    pairs = [(await timed(bare), await timed(boxed)) for _ in range(rounds)]
    lacks = "; ".join(isolation.lacks) or "nothing"
    return [a for a, _ in pairs], [b for _, b in pairs], f"{isolation.name}; lacks: {lacks}"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory(prefix="overnight-bench-") as folder:
        outside, inside, isolation = asyncio.run(measure(rounds, Path(folder)))
    table = Table(title=f"one command ({COMMAND}), {rounds} rounds; {isolation}")
    for column in ("", "median ms", "p95 ms"):
        table.add_column(column)
    extra = [b - a for a, b in zip(outside, inside, strict=True)]
    for name, values in (("bare", outside), ("in a box", inside), ("the box's share", extra)):
        table.add_row(name, f"{statistics.median(values):.1f}", f"{sorted(values)[int(len(values) * 0.95)]:.1f}")
    Console().print(table)
    Console().print(f"ratio of medians: {statistics.median(inside) / statistics.median(outside):.1f}")


if __name__ == "__main__":
    main()
