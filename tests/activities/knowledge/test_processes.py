"""Several processes on one store: they come first at once, write at once, and one is killed in the midst of it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.activities.knowledge.making import HERE, Place, ask
from tests.activities.knowledge.server import Server

ROOT = Path(__file__).parents[3]
EACH = 60
ENDLESS = 10**9
UNTIL_KILLED = 40


def writer(place: Place, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.activities.knowledge.writer", place.home, place.url or "", name, str(count)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def told(process: subprocess.Popen[str], most: int) -> list[str]:
    assert process.stdout is not None
    return [line.strip() for _, line in zip(range(most), process.stdout, strict=False)]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_all_that_was_kept_is_there_whoever_was_killed(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Nobody has made the store before: all of them find none, and one of them makes it."""
    server: Server | None = request.getfixturevalue("postgres") if kind == "postgres" else None
    place = Place(tmp_path / "home", server.fresh() if server else None)
    processes = [writer(place, "one", EACH), writer(place, "two", EACH), writer(place, "victim", ENDLESS)]
    try:
        for process in processes:
            assert told(process, 1) == ["ready"]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        kept = told(processes[2], UNTIL_KILLED)
        processes[2].kill()
        # What it had said before it died, and perhaps had not been read yet.
        kept += [id_ for id_ in told(processes[2], ENDLESS) if len(id_) == 64]
        for process in processes[:2]:
            kept += told(process, ENDLESS)
            assert process.wait() == 0
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    store = place.open()
    assert len(kept) == len(set(kept)) >= 2 * EACH + UNTIL_KILLED
    assert {entry.id for entry in store.get(kept)} == set(kept)
    assert len(store.search_lexical("lesson", HERE, limit=1_000)) >= len(kept), "the index has them, too"
    (shared,) = (hit.entry for hit in ask(store, "search", query="all of them learn", limit=1).hits)
    assert shared.worked == 2, "of three sessions that learned it, two confirmed the first"
    total = ask(store, "stats").counts["total"]
    assert len(kept) + 1 <= total <= len(kept) + 2, "at most one was kept and not told"
    place.close()
    if kind == "sqlite":
        with closing(sqlite3.connect(place.home / "knowledge" / "knowledge.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            connection.execute("INSERT INTO knowledge_search (knowledge_search, rank) VALUES ('integrity-check', 1)")
