"""Points in time for a person: local, and always with the zone beside them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_STAMP = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\b")
"""How the session itself writes a time: it does not know where its readers are."""


def clock(moment: datetime) -> str:
    """Time of day here, with its zone; with the date when it is not today's."""
    local = moment.astimezone()
    today = local.date() == datetime.now(UTC).astimezone().date()
    return f"{local:%H:%M:%S %Z}" if today else f"{local:%Y-%m-%d %H:%M %Z}"


def here(text: str) -> str:
    """What a session says, its times as ``clock`` tells them."""
    return _STAMP.sub(lambda found: clock(datetime.fromisoformat(f"{found[1]}+00:00")), text)
