"""Lists of tests in the artifact store: one JSON object per line, sorted by id."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workflows.policy.tamper import Known

MAX_BYTES = 16 * 2**20
"""Size above which a list is not read."""
_OUTCOMES = frozenset({"passed", "failed", "skipped"})
_MAX_ID = 1_000


def listed(raw: bytes) -> dict[str, str]:
    """Id to outcome of every test; lines that are none count for nothing."""
    return {one["id"]: one["outcome"] for one in _lines(raw)}


def known(raw: bytes) -> dict[str, Known]:
    """Every test that was seen before."""
    return {one["id"]: Known(one["outcome"], base=one.get("base") is True) for one in _lines(raw)}


def dumped(tests: Mapping[str, Known]) -> bytes:
    """What ``known`` reads."""
    lines = [
        json.dumps({"id": test, "outcome": k.outcome, **({"base": True} if k.base else {})})
        for test, k in tests.items()
    ]
    return "".join(f"{line}\n" for line in sorted(lines)).encode()


def _lines(raw: bytes) -> Iterator[dict[str, Any]]:
    for line in raw.decode("utf-8", "replace").splitlines():
        try:
            one = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(one, dict) and isinstance(one.get("id"), str) and one.get("outcome") in _OUTCOMES:
            yield {**one, "id": one["id"][:_MAX_ID]}
