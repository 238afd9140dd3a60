"""Time for a machine under load: what a session comes to does not hang on how soon somebody answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from overnight import exchange


@contextmanager
def long_answers(seconds: float = 20.0) -> Iterator[None]:
    """Clients in this process give every answer ``seconds``; that they give up after 2 s is tried in tests of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "CALL_SECONDS", seconds)
        patch.setattr(exchange, "QUERY_SECONDS", seconds)
        yield
