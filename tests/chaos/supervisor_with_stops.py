"""The real supervisor with the real worker, which stops at named places while a test holds it there."""

from __future__ import annotations

import sys
from pathlib import Path

from overnight.stack.supervisor import supervise

if __name__ == "__main__":
    worker = Path(__file__).with_name("worker_with_stops.py")
    sys.exit(supervise(sys.argv[1:], worker=[sys.executable, str(worker)]))
