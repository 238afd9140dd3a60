"""A client in a process of its own: prints the stack, then waits. Arguments: home, how the worker behaves."""

from __future__ import annotations

import sys
from pathlib import Path

from overnight.base.settings import Settings
from overnight.stack.control import bring_up

if __name__ == "__main__":
    supervisor = Path(__file__).with_name("stand_in_supervisor.py")
    settings = Settings(home=Path(sys.argv[1]), grace_seconds=1)
    stack = bring_up(settings, ["-P", str(supervisor), sys.argv[2]], wait_seconds=180)
    sys.stdout.write(stack.model_dump_json() + "\n")
    sys.stdout.flush()
    sys.stdin.read()
