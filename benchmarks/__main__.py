"""``python -m benchmarks [NAME ...] [--rounds N] [--json]``: run benchmarks, all of them if none is named.

Everything runs on this machine with a scripted model that answers at once: the real stack, the real Claude Code.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rich.console import Console

from benchmarks import control, figures, iteration, knowledge, opened, recovery, replay, steer
from benchmarks.figures import Figure
from overnight.base.finish import finish


@dataclass(frozen=True)
class Benchmark:
    """One of them."""

    title: str
    measure: Callable[[int], Awaitable[list[Figure]]]
    rounds: int
    """Unless told otherwise."""


BENCHMARKS = {
    "iteration": Benchmark("what an iteration costs", iteration.measure, 3),
    "recovery": Benchmark("after kill -9", recovery.measure, 10),
    "steer": Benchmark("after steer(now)", steer.measure, 10),
    "open": Benchmark("open sessions of one worker", opened.measure, 100),
    "mcp": Benchmark("what a client of the MCP server waits", control.measure, 200),
    "replay": Benchmark("taking a session up from its history", replay.measure, 20),
    "knowledge": Benchmark("looking for what earlier sessions learned", knowledge.measure, knowledge.QUERIES),
}


async def run(names: list[str], rounds: int | None, *, as_json: bool) -> None:
    """Run the benchmarks of these names, and print each as it ends."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    console, progress = Console(), Console(stderr=True)
    if not console.is_terminal:
        console.width = 140
    found: dict[str, object] = {}
    for name in names:
        one = BENCHMARKS[name]
        before, began = figures.load(), time.monotonic()
        many = rounds or one.rounds
        with progress.status(f"{name}: {many} rounds"):
            seen = await one.measure(many)
        busy = f"{before} before, {figures.load()} after"
        if as_json:
            found[name] = {"rounds": many, "machine": busy, "figures": [figure.as_json() for figure in seen]}
        else:
            figures.show(f"{name}: {one.title} ({time.monotonic() - began:.0f} s; {busy})", seen, console)
    if as_json:
        print(json.dumps(found, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What Overnight costs beside the same Claude Code calls in a shell loop.",
        epilog="Of single parts: python -m benchmarks.sandbox, python -m benchmarks.gateway",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often, instead of each one's own number")
    parser.add_argument("--json", action="store_true", help="figures for programs, at the end")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    if given.rounds is not None and given.rounds < 1:
        parser.error("--rounds: at least 1")
    code = 0
    try:
        asyncio.run(run(given.names or list(BENCHMARKS), given.rounds, as_json=given.json))
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 130
    except Exception:
        Console(stderr=True).print_exception()
        code = 1
    finish(code)


if __name__ == "__main__":
    main()
