"""``python -m overnight.demo --scenario demo --port N``: the scripted model as a process of its own.

Its first line of output is the URL; it serves until it is told to stop (SIGTERM or SIGINT).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import signal
import sys

from overnight.demo.script import Scenario
from overnight.demo.server import ScriptedModel


def scenario_named(name: str) -> Scenario:
    """The scenario ``demo``, or the one at ``module:attribute``.

    Raises:
        ValueError: if there is none of that name.
    """
    module, _, attribute = name.partition(":") if ":" in name else ("overnight.demo.demo", "", "SCENARIO")
    if name == "demo" or ":" in name:
        found = getattr(importlib.import_module(module), attribute, None)
        if isinstance(found, Scenario):
            return found
    raise ValueError(f"no scenario {name!r}: use 'demo' or 'module:attribute'")


async def serve(scenario: Scenario, port: int) -> None:
    """Plays ``scenario`` on 127.0.0.1 until SIGTERM or SIGINT.

    Params:
        port: TCP port; a free one if 0.
    Raises:
        OSError: if the port is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with ScriptedModel(scenario, port=port) as model:
        sys.stdout.write(f"{model.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(prog="python -m overnight.demo", description="A scripted model on loopback.")
    parser.add_argument("--scenario", default="demo", help="'demo', or module:attribute of a Scenario")
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; a free one by default")
    arguments = parser.parse_args()
    asyncio.run(serve(scenario_named(arguments.scenario), arguments.port))


if __name__ == "__main__":
    main()
