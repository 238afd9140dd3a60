"""From likeness to confidence: how often what looks so much alike, and so much more than anything else, does fit.

A cosine is no probability: at 0.6 one entry is the same goal and another one is not. What tells them apart is the
margin to the next best *other* goal. Several entries of one goal count as one there, or knowing a goal well would make
it unknown. The weights are data (``model/calibration.json``), fitted on fixtures and checked on a part never fitted on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from activities.knowledge.contrast import Gist

FILE = Path(__file__).parent / "model" / "calibration.json"
ADVICE = 0.8
"""Above it something may be advice."""
BELOW_ADVICE = 0.79
"""The most that a doubtful way of comparing can give."""
CONTRARY = 0.7
"""The most that the opposite of what is asked can get: less than anything else that is only doubtful."""
NEARLY_THE_SAME = 0.8
"""Likeness of letters from which words alone are enough for advice."""
_LOOKED_AT = 1_000
"""Characters of a text whose letters are compared."""


class Weights(BaseModel):
    """Confidence = 1 / (1 + exp(-(likeness * a + margin * b + bias)))."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    likeness: float
    margin: float
    bias: float
    floor: float
    """Likeness that anything has to anything: the next best is never below it, also in a store of one entry."""
    same: float
    """Two entries that are so much alike are of one goal."""
    hint: float
    """Below this confidence nothing is told at all."""

    def confidence(self, likeness: float, margin: float) -> float:
        """Between 0 and 1."""
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, self.likeness * likeness + self.margin * margin + self.bias))))


class Calibration(BaseModel):
    """Weights for the models that they were fitted with, and for letters alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: list[str]
    """Ids of models whose vectors agree with those fitted on."""
    semantic: Weights
    lexical: Weights

    def known(self, model_id: str) -> bool:
        """Whether cosines of this model mean what they meant when the weights were fitted."""
        return model_id in self.models


@cache
def calibration() -> Calibration:
    """The weights that come with Overnight."""
    return Calibration.model_validate_json(FILE.read_text())


def confidences(
    query: Gist,
    texts: Sequence[Gist],
    likeness: Sequence[float],
    alike: Callable[[int, int], float],
    weights: Weights,
    *,
    cut_off: bool = False,
) -> list[float]:
    """How far each of these texts is to be trusted to be about the same as the query.

    ``alike`` tells the likeness of two of them; ``cut_off`` says that there are more, each less like the query than
    all of these. A text that is about the opposite gets less than advice needs, and does not make the others doubtful.
    """
    contrary = [query.contrary(text) for text in texts]
    order = sorted(range(len(texts)), key=lambda n: (contrary[n], -likeness[n], n))
    if not order:
        return []
    best = order[0]

    def matters(n: int) -> bool:
        """Whether anything changes by its being of the same goal; to compare costs a look into the store."""
        hopeful = weights.confidence(likeness[best], likeness[best] - weights.floor) >= weights.hint
        return hopeful and likeness[n] > weights.floor and contrary[n] == contrary[best]

    group = {best} | {
        n for n in order[1:] if matters(n) and alike(best, n) >= weights.same and not texts[best].contrary(texts[n])
    }
    others = [likeness[n] for n in order if n not in group and not contrary[n]]
    if cut_off and not others:
        others = [min(likeness)]  # at most so much alike is whatever was left out
    second = max([weights.floor, *others])
    found = []
    for n in range(len(texts)):
        rival = second if n in group or contrary[n] else max(second, likeness[best])
        trusted = weights.confidence(likeness[n], likeness[n] - rival)
        found.append(min(trusted, CONTRARY) if contrary[n] else trusted)
    return found


def letters(text: str) -> Counter[str]:
    """Runs of three letters of a text, words apart: what likeness of spelling is measured by."""
    words = "".join(letter if letter.isalnum() else " " for letter in text[:_LOOKED_AT].lower()).split()
    return Counter(padded[n : n + 3] for padded in (f" {word} " for word in words) for n in range(len(padded) - 2))


def spelled_alike(one: Counter[str], other: Counter[str]) -> float:
    """Between 0 (no run of letters in common) and 1."""
    common = sum(count * other[run] for run, count in one.items())
    if not common:
        return 0.0
    return common / math.sqrt(sum(n * n for n in one.values()) * sum(n * n for n in other.values()))
