"""Each test that takes ``place`` runs twice: on a SQLite file, and on a PostgreSQL server; ``clever`` has a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from activities.knowledge import Store
from tests.activities.knowledge.learned import House
from tests.activities.knowledge.making import Place
from tests.activities.knowledge.server import Server, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def shared(postgres: Server) -> str:
    """A database that is emptied for each test: to make one takes longer than most of them."""
    return postgres.fresh()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    url = request.getfixturevalue("shared") if request.param == "postgres" else None
    place = Place(tmp_path / "home", url)
    place.empty()
    try:
        yield place
    finally:
        place.close()


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


@pytest.fixture
def clever(tmp_path: Path) -> Iterator[House]:
    """A store that is searched by meaning."""
    made = House(tmp_path)
    try:
        yield made
    finally:
        made.close()
