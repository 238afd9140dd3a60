"""``python -m benchmarks.knowledge_recall [--entries N]``: how long recall takes in all, with the vector of the query.

The store is full of goals at random directions; those of the fixtures stand among them with their real vectors.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from activities.knowledge import Embedder, open_store
from activities.knowledge.embedding import MODEL_ID, semantic
from activities.knowledge.retrieval import Retrieval
from benchmarks import figures, knowledge
from benchmarks.figures import Figure
from benchmarks.knowledge_quality import half
from overnight.base.finish import finish
from overnight.base.redaction import Redactor
from overnight.base.settings import Settings
from workflows.contracts.knowledge import Learning, LearnRequest, RecallRequest

PROJECT = "p1"
_AT_ONCE = 20


class Fillers(knowledge.Directions):
    """Vectors that cost nothing, under the name of the real model."""

    model_id = MODEL_ID


def measure(size: int, console: Console) -> None:
    """Fill a store, ask it, and print what it took."""
    model = semantic(Settings())
    if model.embedder is None:
        console.print(f"nothing to measure: {model.why}")
        return
    with tempfile.TemporaryDirectory(prefix="overnight-benchmark-") as folder:
        store = open_store(Settings(home=Path(folder), knowledge_max_entries=10_000_000), Redactor())
        retrieval = Retrieval(store, lambda: model)
        try:
            knowledge._fill(Path(folder), store, size)
            store.embed(Fillers(), limit=size)
            groups = [group for held in (False, True) for group in half("goals", held=held).groups]
            goals = [group.goal for group in groups]
            for start in range(0, len(goals), _AT_ONCE):
                learnings = [_approach(goal) for goal in goals[start : start + _AT_ONCE]]
                saved = store.learn(LearnRequest(session_id="known-1", project=PROJECT, learnings=learnings)).saved
                store.embed(model.embedder, _AT_ONCE, saved)
            known = [asked for group in groups for asked in group.asked.values()]
            strange = [query for held in (False, True) for query in half("goals", held=held).novel]
            _ask(retrieval, "What is read for the first question")
            took = {
                "a query's vector": _times(_embed(model.embedder), [f"{query}." for query in known]),
                "recall, something is known": _times(lambda query: _ask(retrieval, query), known),
                "recall, nothing is known": _times(lambda query: _ask(retrieval, query), strange),
                "suggestion": _times(lambda query: retrieval.suggest_approach(query, PROJECT), known),
            }
        finally:
            retrieval.close()
            store.close()
    figures.show(f"recall of {size:,} entries ({figures.load()})", [*_figures(took)], console)


def _figures(took: dict[str, tuple[list[float], float]]) -> list[Figure]:
    found = []
    for name, (times, processor) in took.items():
        found += [Figure(name, "ms", times), Figure("  p99", "ms", [knowledge.p99(times)])]
        found.append(Figure("  processor, all threads", "ms", [processor]))
    return found


def _approach(goal: str) -> Learning:
    return Learning(kind="approach", title=goal, cue=goal, advice=f"How it was done: {goal}", seconds=600)


def _ask(retrieval: Retrieval, query: str) -> object:
    return retrieval.recall(RecallRequest(session_id="tonight-1", project=PROJECT, query=query))


def _embed(embedder: Embedder) -> Callable[[str], object]:
    return lambda query: embedder.embed([query])


def _times(call: Callable[[str], object], queries: Sequence[str]) -> tuple[list[float], float]:
    """Milliseconds of each, and of the processor for one."""
    took, began = [], time.process_time()
    for query in queries:
        start = time.perf_counter()
        call(query)
        took.append((time.perf_counter() - start) * 1_000)
    return took, (time.process_time() - began) * 1_000 / len(queries)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knowledge_recall", description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000, metavar="N", help="size of the store")
    measure(parser.parse_args().entries, Console(width=120))
    finish(0)


if __name__ == "__main__":
    main()
