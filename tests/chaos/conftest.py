"""An installation for each module of this suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from activities.sandbox import find_isolation
from tests.chaos.yard import Yard, yard
from tests.patience import long_answers


@pytest.fixture(scope="session", autouse=True)
def isolated() -> None:
    """Without full isolation, what a killed worker started lives on: such a host refuses to run."""
    isolation = find_isolation()
    assert isolation.full, isolation.problem


@pytest.fixture(scope="package", autouse=True)
def patient() -> Iterator[None]:
    with long_answers():
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place() -> AsyncIterator[Yard]:
    """Supervisor, Temporal server with its database, worker and model; nothing of it is left afterwards."""
    async with yard() as ready:
        yield ready
