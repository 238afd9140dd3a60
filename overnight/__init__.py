"""ASK: the clients' side of Overnight, and the package that a wheel shows."""

from __future__ import annotations

import os

STARTED_BY = os.getppid()
"""The process that started this one. Read before anything slow is imported: whoever ends during that has ended, too."""
