"""How an attack is told: one line ``name|outcome|detail`` each, whatever becomes of it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

REACHED = "reached"
"""The attacker got what it wanted."""
REFUSED = "refused"
BROKEN = "broken"
"""The attack itself failed, and proves nothing."""

TOLD = Path(os.environ.get("ATTACK_TOLD", Path(__file__).with_name("told.json")))


class RefusedError(Exception):
    """Nothing was got, in words."""


def told() -> dict[str, Any]:
    """What the attacker knows of the host: paths, ports, names. The test tells it."""
    known: dict[str, Any] = json.loads(TOLD.read_text())
    return known


def sign(known: dict[str, Any]) -> bytes:
    """What stands in every secret of the host. It is told backwards, so that what is told is not found itself."""
    return str(known["sign_backwards"])[::-1].encode()


def first(known: dict[str, Any]) -> int:
    """The process that all others of the sandbox stem from."""
    return int(known.get("first_process", 1))


def attempt(name: str, attack: Callable[[], object]) -> None:
    """Try, and say what came of it. An attack that returns reached its target."""
    outcome, detail = REACHED, ""
    try:
        detail = str(attack() or "")
    except RefusedError as error:
        outcome, detail = REFUSED, str(error)
    except OSError as error:
        outcome, detail = REFUSED, errno.errorcode.get(error.errno or 0, "") or f"{type(error).__name__} {error}"
    except Exception as error:
        outcome, detail = BROKEN, f"{type(error).__name__}: {error}"
    line = " ".join(f"{name}|{outcome}|{detail}".split())
    print(line[:200], flush=True)
