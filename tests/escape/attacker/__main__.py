"""``python3 -m tests.escape.attacker GROUP...``: all attacks of these groups, and an exit code that is no success."""

from __future__ import annotations

import importlib
import sys

for _group in sys.argv[1:]:
    importlib.import_module(f"tests.escape.attacker.{_group}").main()
sys.exit(3)
