"""The real supervisor with the stand-in worker. Arguments: how the worker behaves, then the supervisor's own."""

from __future__ import annotations

import sys
from pathlib import Path

from overnight.stack.supervisor import supervise

if __name__ == "__main__":
    worker = Path(__file__).with_name("stand_in_worker.py")
    sys.exit(supervise(sys.argv[2:], worker=[sys.executable, str(worker), sys.argv[1]]))
