"""How long a session waits for what earlier ones learned: searches in stores of 10,000 and more entries.

``python -m benchmarks.knowledge [--entries N] [--queries N]`` measures one size, such as a million.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from rich.console import Console
from sqlalchemy import insert

from activities.knowledge import Store, open_store
from activities.knowledge.database import Database
from activities.knowledge.rows import content_id, now, values
from activities.knowledge.tables import entries
from benchmarks import figures
from benchmarks.figures import Figure
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from workflows.contracts.evidence import Fingerprint
from workflows.contracts.knowledge import Learning

if TYPE_CHECKING:
    from activities.knowledge.interface import Vectors

T = TypeVar("T")

SIZES = (10_000, 100_000)
QUERIES = 300
DIM = 384
WORDS_OF_A_GOAL = 12
VOCABULARY = 20_000
PROJECTS = 20
ASKING = "p1"
TARGET_MS = 50
_BATCH = 2_000


class Directions:
    """An embedder that costs nothing: a direction for each text, drawn at random from the text itself."""

    model_id = "directions:1"
    dim = DIM

    def embed(self, texts: Sequence[str]) -> Vectors:
        drawn = [np.random.default_rng(abs(hash(text))).standard_normal(DIM, dtype=np.float32) for text in texts]
        rows = np.stack(drawn)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


class Goals:
    """Texts whose words are as unevenly common as those of a language."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        weights = 1.0 / np.arange(1, VOCABULARY + 1)
        self._weights = weights / weights.sum()

    def __iter__(self) -> Iterator[str]:
        while True:
            drawn = self._random.choice(VOCABULARY, size=(1_000, WORDS_OF_A_GOAL), p=self._weights)
            yield from (" ".join(f"word{number}" for number in row) for row in drawn)


async def measure(rounds: int) -> list[Figure]:
    """Both sizes that a person may come to have."""
    found: list[Figure] = []
    for size in SIZES:
        found += await asyncio.to_thread(of_size, size, rounds)
    return found


def of_size(size: int, queries: int) -> list[Figure]:
    """Fill a store of its own, and ask it as a session does: for its project first, then for what is everywhere."""
    with tempfile.TemporaryDirectory(prefix="overnight-benchmark-") as folder:
        home = Path(folder)
        store = open_store(Settings(home=home, knowledge_max_entries=10_000_000), Redactor.of([]))
        try:
            began = time.perf_counter()
            _fill(home, store, size)
            filled = time.perf_counter() - began
            began = time.perf_counter()
            store.embed(Directions(), limit=size)
            embedded = time.perf_counter() - began
            return [*_asked(store, size, queries), *_rest(home, store, size, filled, embedded)]
        finally:
            store.close()


def _asked(store: Store, size: int, queries: int) -> list[Figure]:
    goals = list(islice(Goals(2), queries))
    vectors = Directions().embed(goals)
    errors = [Fingerprint(exact=f"v1:{n}", template=f"v1:t{n}", kind="KeyError") for n in range(queries)]
    model = Directions.model_id
    first = _timed(lambda vector: store.search_vector(vector, model, ASKING), vectors[:1])
    by_words = _timed(lambda goal: store.search_lexical(goal, ASKING), goals)
    by_meaning = _timed(lambda vector: store.search_vector(vector, model, ASKING), vectors)
    by_error = _timed(lambda error: store.by_fingerprint(error, ASKING, usable=True), errors)
    of = f"of {size:,}"
    return [
        Figure(f"suggestion by words, {of}", "ms", by_words),
        Figure(f"  its p99 (at most {TARGET_MS} at 100,000)", "ms", [p99(by_words)]),
        Figure(f"suggestion by meaning, {of}", "ms", by_meaning),
        Figure(f"  its p99 (at most {TARGET_MS} at 100,000)", "ms", [p99(by_meaning)]),
        Figure(f"  its first, which reads all vectors, {of}", "ms", first),
        Figure(f"solution of an error, {of}", "ms", by_error),
    ]


def _rest(home: Path, store: Store, size: int, filled: float, embedded: float) -> list[Figure]:
    file = sum(part.stat().st_size for part in (home / "knowledge").iterdir()) / 2**20
    return [
        Figure(f"to put in, {size:,}", "ms each", [filled * 1_000 / size]),
        Figure(f"to put their vectors in, {size:,}", "ms each", [embedded * 1_000 / size]),
        Figure(f"the file, {size:,}", "MiB", [file]),
    ]


def _fill(home: Path, store: Store, size: int) -> None:
    store.check()
    database = Database.file(home / "knowledge" / "knowledge.db")
    numbers = enumerate(islice(Goals(1), size))
    while batch := list(islice(numbers, _BATCH)):
        with database.writing() as connection:
            connection.execute(insert(entries), [_row(number, goal) for number, goal in batch])
    database.close()


def _row(number: int, goal: str) -> dict[str, object]:
    """Half of all are of the project that asks, one in twenty is everywhere, and one in four is about an error."""
    project = ASKING if number % 2 else f"p{number % PROJECTS}" if number % PROJECTS else None
    fingerprint = Fingerprint(exact=f"v1:{number}", template=f"v1:t{number % 5_000}", kind="KeyError")
    learning = Learning(
        kind="error_solution" if number % 4 == 0 else "approach",
        title=goal[:60],
        cue=f"{goal} {number}",
        advice="Write the tests first, then the parser; the fixtures are in tests/data.",
        fingerprint=fingerprint if number % 4 == 0 else None,
    )
    at = now()
    record = {"source": f"session-{number}", "created": at, "updated": at, "worked": 0, "failed": 0}
    return {**values(project, learning), **record, "failed_in_a_row": 0, "id": content_id(project, learning)}


def _timed(search: Callable[[T], object], asked: Iterable[T]) -> list[float]:
    """Milliseconds of each."""
    took = []
    for one in asked:
        began = time.perf_counter()
        search(one)
        took.append((time.perf_counter() - began) * 1_000)
    return took


def p99(values: Sequence[float]) -> float:
    """The smallest value that 99 % of them do not exceed."""
    return sorted(values)[math.ceil(len(values) * 0.99) - 1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knowledge", description=__doc__)
    parser.add_argument("--entries", type=int, action="append", metavar="N", help="size of a store; may be repeated")
    parser.add_argument("--queries", type=int, default=QUERIES, metavar="N")
    given = parser.parse_args()
    for size in given.entries or SIZES:
        before = figures.load()
        seen = of_size(size, given.queries)
        console = Console()
        if not console.is_terminal:
            console.width = 140
        figures.show(f"knowledge ({before} before, {figures.load()} after)", seen, console)


if __name__ == "__main__":
    main()
