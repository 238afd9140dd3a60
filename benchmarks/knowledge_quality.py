"""``python -m benchmarks.knowledge_quality [--refit]``: how well knowledge is found, and how far trusted.

Goals, questions and swaps of ``tests/fixtures/knowledge``, written by hand. Half of the groups, chosen by a hash of
their names, are held out: no weight and no rule was fitted on them. What is printed is of that half.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from activities.knowledge.confidence import (
    ADVICE,
    BELOW_ADVICE,
    FILE,
    NEARLY_THE_SAME,
    Weights,
    calibration,
    confidences,
    letters,
    spelled_alike,
)
from activities.knowledge.contrast import Gist
from activities.knowledge.embedding import semantic
from activities.knowledge.interface import Embedder
from overnight.base.finish import finish
from overnight.base.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures" / "knowledge"
WORDINGS = ("light", "paraphrase", "far")
"""A word or two changed; another person's words; made to share no telling word."""
SMALL = (1, 3, 10)
"""Sizes of small stores: what a new user has."""
LIMIT = 32


def held_out(name: str) -> bool:
    """Whether the group of this name is in the half that nothing is fitted on. Fixed for ever."""
    return hashlib.sha256(f"held-out:{name}".encode()).digest()[0] % 2 == 0


@dataclass
class Group:
    """A goal, how others would ask for it, and what looks like it."""

    goal: str
    asked: dict[str, str]
    hard: list[str]


@dataclass
class Half:
    """Of a set of goals, the one half or the other."""

    groups: list[Group] = field(default_factory=list)
    distractors: list[str] = field(default_factory=list)
    novel: list[str] = field(default_factory=list)


def half(name: str, *, held: bool) -> Half:
    """One half of the set ``goals`` or ``questions``."""
    found = Half()
    for row in _rows(name):
        own = row.get("group") or row.get("near") or row.get("distractor") or row["novel"]
        if held_out(own) is not held:
            continue
        if "group" in row:
            asked = {wording: row[wording] for wording in WORDINGS if wording in row}
            found.groups.append(Group(row["goal"], asked, row["hard"]))
            found.distractors += row["hard"]
        if "distractor" in row:
            found.distractors.append(row["distractor"])
        if "novel" in row:
            found.novel.append(row["novel"])
    return found


def swaps(*, held: bool) -> list[tuple[str, str]]:
    """Pairs of goals that differ in the one word that matters."""
    return [(row["goal"], row["other"]) for row in _rows("swaps") if held_out(row["group"]) is held]


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FIXTURES / f"{name}.jsonl").read_text().splitlines()]


@dataclass(frozen=True)
class Answer:
    """What was found best for one query."""

    likeness: float
    margin: float
    confidence: float
    right: bool
    known: bool
    """Whether there was anything right to be found."""


class Lab:
    """Stores of texts in memory, each text embedded once: thousands of trials in seconds."""

    def __init__(self, embedder: Embedder | None) -> None:
        self._embedder = embedder
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._letters: dict[str, Any] = {}
        self._gists: dict[str, Gist] = {}

    def learn(self, texts: Iterable[str]) -> None:
        """Embed what is not yet."""
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if self._embedder is not None and new:
            self._vectors.update(zip(new, self._embedder.embed(new), strict=True))

    def alike(self, one: str, other: str) -> float:
        """By meaning, or without an embedder by spelling."""
        if self._embedder is None:
            for text in (one, other):
                if text not in self._letters:
                    self._letters[text] = letters(text)
            return spelled_alike(self._letters[one], self._letters[other])
        return float(self._vectors[one] @ self._vectors[other])

    def ask(self, query: str, stored: Sequence[str], right: Callable[[str], bool], weights: Weights) -> Answer:
        """What a store of these texts answers."""
        self.learn([query, *stored])
        likeness = {text: self.alike(query, text) for text in stored}
        near = sorted(stored, key=lambda text: -likeness[text])[:LIMIT]
        found = confidences(
            self._gist(query),
            [self._gist(text) for text in near],
            [likeness[text] for text in near],
            lambda a, b: self.alike(near[a], near[b]),
            weights,
            cut_off=len(stored) > LIMIT,
        )
        if self._embedder is None:
            found = [
                one if likeness[text] >= NEARLY_THE_SAME else min(one, BELOW_ADVICE)
                for one, text in zip(found, near, strict=True)
            ]
        best = max(range(len(near)), key=lambda n: found[n])
        odds = math.log(max(found[best], 1e-9) / max(1 - found[best], 1e-9))
        margin = (odds - weights.bias - weights.likeness * likeness[near[best]]) / weights.margin
        return Answer(likeness[near[best]], margin, found[best], right(near[best]), any(map(right, stored)))

    def _gist(self, text: str) -> Gist:
        return self._gists.setdefault(text, Gist(text))


@dataclass(frozen=True)
class Trial:
    """One query to one store."""

    of: str
    query: str
    stored: tuple[str, ...]
    right: frozenset[str] = frozenset()


def trials(*, held: bool, draws: int = 12) -> list[Trial]:
    """All queries of one half, to the stores that they are asked of."""
    goals, questions = half("goals", held=held), half("questions", held=held)
    made: list[Trial] = []
    for name, part in (("goals", goals), ("questions", questions)):
        stored = (*(group.goal for group in part.groups), *part.distractors)
        for wording in part.groups[0].asked:
            of = f"{name}: {wording}"
            made += [Trial(of, group.asked[wording], stored, frozenset([group.goal])) for group in part.groups]
            made += [Trial(of, query, stored) for query in part.novel]
    made += _repeated(goals)
    made += _small(goals, random.Random(7 + held), draws)  # noqa: S311 - a draw, the same each time
    made += [Trial("swaps", other, (goal, *goals.distractors)) for goal, other in swaps(held=held)]
    return made


def _repeated(part: Half) -> list[Trial]:
    """Stores in which each goal stands several times, in different words: many sessions on similar goals."""
    made = []
    for kept, asked in ((("", "light"), "paraphrase"), (("", "paraphrase"), "light")):
        wordings = [[group.goal if not word else group.asked[word] for word in kept] for group in part.groups]
        stored = (*(text for texts in wordings for text in texts), *part.distractors)
        for group, own in zip(part.groups, wordings, strict=True):
            made.append(Trial("goals known twice", group.asked[asked], stored, frozenset(own)))
        made += [Trial("goals known twice", query, stored) for query in part.novel]
    return made


def _small(part: Half, rng: random.Random, draws: int) -> list[Trial]:
    """Small stores; of the queries half are known, a quarter look like something known, a quarter are strange."""
    made = []
    for size in SMALL:
        for _ in range(draws * 10 // size):
            groups = rng.sample(part.groups, size)
            stored = tuple(group.goal for group in groups)
            for group in groups:
                made.append(Trial("small stores", rng.choice([*group.asked.values()]), stored, frozenset([group.goal])))
                strange = rng.random() < 0.5
                made.append(Trial("small stores", rng.choice(part.novel if strange else group.hard), stored))
    return made


@dataclass(frozen=True)
class Quality:
    """How good the answers to some queries were."""

    of: str
    queries: int
    known: int
    recall_at_1: float
    precision: float
    """Of what was given as advice."""
    given: int
    recall: float
    """Of what is known, given as advice and right."""
    hints: float
    """Of what is not known, the part for which anything was given at all."""

    @classmethod
    def measure(cls, name: str, answers: Sequence[Answer], hint: float) -> Quality:
        """Of these answers."""
        known = [answer for answer in answers if answer.known]
        given = [answer for answer in answers if answer.confidence > ADVICE]
        right = sum(answer.right for answer in given)
        strange = [answer for answer in answers if not answer.known]
        return cls(
            name,
            len(answers),
            len(known),
            _part(sum(answer.right for answer in known), len(known)),
            _part(right, len(given)),
            len(given),
            _part(right, len(known)),
            _part(sum(answer.confidence >= hint for answer in strange), len(strange)),
        )


def _part(some: int, of: int) -> float:
    return some / of if of else math.nan


def measure(lab: Lab, weights: Weights, *, held: bool) -> list[Quality]:
    """Of each kind of queries, and of all."""
    asked = trials(held=held)
    lab.learn(text for trial in asked for text in (trial.query, *trial.stored))
    answers: dict[str, list[Answer]] = {}
    for trial in asked:
        answer = lab.ask(trial.query, trial.stored, trial.right.__contains__, weights)
        answers.setdefault(trial.of, []).append(answer)
    found = [Quality.measure(name, own, weights.hint) for name, own in answers.items()]
    return [*found, Quality.measure("all", [one for own in answers.values() for one in own], weights.hint)]


def refit(lab: Lab, weights: Weights) -> Weights:
    """Weights fitted on the half that is not held out: logistic regression, each kind of query of equal weight."""
    import numpy as np

    rows = [
        (trial.of, lab.ask(trial.query, trial.stored, trial.right.__contains__, weights))
        for trial in trials(held=False)
        if trial.of != "swaps"
    ]
    many = {name: sum(of == name for of, _ in rows) for name, _ in rows}
    x = np.array([[answer.likeness, answer.margin, 1.0] for _, answer in rows])
    y = np.array([float(answer.right) for _, answer in rows])
    w = np.array([1.0 / many[of] for of, _ in rows])
    w *= len(rows) / w.sum()
    beta, penalty = np.zeros(3), np.diag([0.5, 0.5, 0.0])
    for _ in range(100):
        p = 1 / (1 + np.exp(-(x @ beta)))
        step = np.linalg.solve(
            (x * (w * p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(3), x.T @ (w * (y - p)) - penalty @ beta
        )
        beta += step
        if abs(step).max() < 1e-9:
            break
    a, b, c = (round(float(value), 2) for value in beta)
    return weights.model_copy(update={"likeness": a, "margin": b, "bias": c})


def _speed(embedder: Embedder) -> dict[str, float]:
    """Milliseconds for the vector of one goal."""
    queries = [query for part in (half("goals", held=True),) for group in part.groups for query in group.asked.values()]
    took = []
    for query in queries * 2:
        began = time.perf_counter()
        embedder.embed([query])
        took.append((time.perf_counter() - began) * 1_000)
    began = time.perf_counter()
    embedder.embed(["word " * 2_000])
    longest = (time.perf_counter() - began) * 1_000
    took.sort()
    return {"p50": statistics.median(took), "p99": took[math.ceil(len(took) * 0.99) - 1], "longest text": longest}


def _show(title: str, found: Sequence[Quality], console: Console) -> None:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("queries")
    for column in ("asked", "known", "recall@1", "advice given", "precision", "recall", "strange ones told anything"):
        table.add_column(column, justify="right")
    for one in found:
        table.add_row(
            one.of,
            str(one.queries),
            str(one.known),
            *(
                _number(one.recall_at_1),
                str(one.given),
                _number(one.precision),
                _number(one.recall),
                _number(one.hints),
            ),
        )
    console.print(table)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knowledge_quality", description=__doc__)
    parser.add_argument("--refit", action="store_true", help=f"fit the weights anew and write {FILE.name}")
    parser.add_argument("--tuning", action="store_true", help="show the half that the weights are fitted on instead")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args()
    console = Console(width=140)
    began = time.monotonic()
    model = semantic(Settings())
    loaded = time.monotonic() - began
    if model.embedder is None:
        console.print(f"nothing to measure by meaning: {model.why}")
        finish(1)
        return
    labs, weights = {"semantic": Lab(model.embedder), "lexical": Lab(None)}, calibration()
    if given.refit:
        fitted = {name: refit(lab, getattr(weights, name)) for name, lab in labs.items()}
        weights = weights.model_copy(update=fitted)
        FILE.write_text(weights.model_dump_json(indent=2) + "\n")
    found = {name: measure(lab, getattr(weights, name), held=not given.tuning) for name, lab in labs.items()}
    speed = _speed(model.embedder)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024
    if given.json:
        rows = {name: [asdict(one) for one in quality] for name, quality in found.items()}
        print(json.dumps({**rows, "load_seconds": loaded, "query_ms": speed, "process_mb": memory}, indent=2))
    else:
        part = "fitted on" if given.tuning else "held out"
        for name, quality in found.items():
            _show(f"{name}, the half {part}", quality, console)
        times = ", ".join(f"{name} {value:.1f} ms" for name, value in speed.items())
        console.print(
            f"{model.why}: loaded in {loaded:.1f} s; a query's vector: {times}; process at most {memory:.0f} MB"
        )
    finish(0)


if __name__ == "__main__":
    main()
