"""A secret in a tool's arguments is refused before anything keeps it, and no error repeats it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mcp.conftest import Place, refused
from tests.planted import value_of
from tests.sessions.plays import GOAL

PAT = value_of("github classic", 9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"validation_command": f"TOKEN={PAT} pytest"}, "validation_command: line 1 holds what looks like a secret"),
        ({"setup_command": f"TOKEN={PAT} make"}, "setup_command: line 1 holds what looks like a secret"),
        ({"success_criteria": ["fine", f"TOKEN={PAT} make"]}, "success_criteria.1: line 1 holds what looks like"),
        ({"model": PAT}, "model: line 1 holds what looks like a secret"),
        ({"allow_hosts": [PAT]}, "allow_hosts.0: line 1 holds what looks like a secret"),
        ({"session_id": f"{'a' * 40} {PAT}"}, "(given: not repeated here, it looks like a secret)"),
        ({"mode": PAT}, "(given: not repeated here, it looks like a secret)"),
        ({"max_iterations": PAT}, "(given: not repeated here, it looks like a secret)"),
        ({"success_criteria": {"a": PAT}}, "(given: not repeated here, it looks like a secret)"),
        ({"validation_command": f"{'x' * 2_000} {PAT}"}, "validation_command: must have at most 2000"),
    ],
)
async def test_it_is_refused_and_not_repeated(place: Place, arguments: dict[str, Any], words: str) -> None:
    async with place.client() as client:
        said = await refused(client, "claude_autonomous", goal=GOAL, **arguments)
    assert words in said
    assert not any(PAT[i : i + 8] in said for i in range(4, len(PAT) - 8))
