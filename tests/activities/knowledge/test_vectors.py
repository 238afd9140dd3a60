"""Search by meaning, with vectors that a test can read: each word is a direction."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from activities.knowledge import Embedder, Store
from tests.activities.knowledge.making import HERE, THERE, Place, approach, ask, cues, learn

if TYPE_CHECKING:
    from activities.knowledge.interface import Vector, Vectors


class Words:
    """An embedder whose vectors are counts of words."""

    def __init__(self, model_id: str = "words:1", dim: int = 64) -> None:
        self.model_id = model_id
        self.dim = dim
        self.asked = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += len(texts)
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[sum(map(ord, word)) % self.dim] += 1
        rows /= np.maximum(1, np.linalg.norm(rows, axis=1, keepdims=True))
        return rows

    def of(self, text: str) -> Vector:
        vector: Vector = self.embed([text])[0]
        return vector


WORDS = Words()


def found(store: Store, text: str, project: str | None = HERE, words: Words = WORDS, **more: Any) -> list[str]:
    return cues(store.search_vector(words.of(text), words.model_id, project, **more))


def test_what_means_most_nearly_the_same_comes_first(store: Store) -> None:
    learn(store, approach("parse dates"), approach("parse numbers slowly"), approach("draw"))
    assert store.embed(WORDS) == 3
    hits = store.search_vector(WORDS.of("parse numbers"), WORDS.model_id, HERE, limit=2)
    assert cues(hits) == ["parse numbers slowly", "parse dates"]
    assert hits[0].score == pytest.approx(2 / 6**0.5, abs=0.01)


def test_each_entry_is_embedded_once(store: Store) -> None:
    one, two = learn(store, approach("one"), approach("two")).saved
    words: Embedder = Words()
    assert store.embed(words, ids=[one]) == 1
    assert store.embed(words, limit=1) == 1
    assert store.embed(words) == 0
    assert getattr(words, "asked") == 2  # noqa: B009 - not of an Embedder
    assert len(found(store, "two")) == 2
    assert store.get([two])


def test_scopes_and_kinds_hold_here_too(store: Store) -> None:
    learn(store, approach("login one"), approach("login two"), approach("login", kind="memory"))
    learn(store, approach("login"), project=THERE)
    ask(store, "add", learning=approach("login everywhere"), everywhere=True)
    store.embed(WORDS)
    assert found(store, "login") == ["login", "login two", "login one", "login everywhere"]
    assert found(store, "login", None) == ["login everywhere"]
    assert len(found(store, "login", across=True)) == 5
    assert cues(store.search_vector(WORDS.of("login"), WORDS.model_id, HERE, ["memory"])) == ["login"]


def test_models_do_not_mix(store: Store) -> None:
    learn(store, approach("login"))
    other = Words("words:2", dim=32)
    store.embed(WORDS)
    assert found(store, "login", words=other) == []
    store.embed(other)
    assert found(store, "login", words=other) == ["login"]
    assert found(store, "login") == ["login"]


def test_what_others_write_and_remove_is_seen(place: Place) -> None:
    here, there = place.open(), place.open()
    kept, gone, changed = learn(here, approach("kept"), approach("gone"), approach("changed")).saved
    here.embed(WORDS)
    assert sorted(found(there, "kept gone changed")) == ["changed", "gone", "kept"]
    ask(here, "forget", id=gone)
    ask(here, "edit", id=changed, learning=approach("edited"))
    assert found(there, "gone") == ["kept"]
    learn(here, approach("new"))
    here.embed(WORDS)
    assert sorted(found(there, "new")) == ["edited", "kept", "new"]
    assert found(there, "edited")[0] == "edited"
    assert kept


def test_vectors_of_a_store_that_was_replaced_are_not_used(tmp_path: Path) -> None:
    here, there = Place(tmp_path / "here"), Place(tmp_path / "there")
    for place, cue in ((here, "login here"), (there, "login there")):
        learn(place.open(), approach(cue))
        place.opened[0].embed(WORDS)
        assert found(place.opened[0], "login") == [cue]
    there.close()
    shutil.rmtree(here.home / "knowledge")
    (there.home / "knowledge").rename(here.home / "knowledge")
    assert found(here.opened[0], "login") == ["login there"]
    here.close()


def test_many_vectors_come_a_page_at_a_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.knowledge.vectors._PAGE", 7)
    store = place.open()
    for start in range(0, 60, 20):
        learn(store, *(approach(f"lesson n{number}") for number in range(start, start + 20)))
        store.embed(WORDS)
        assert len(store.search_vector(WORDS.of("lesson"), WORDS.model_id, HERE, limit=100)) == start + 20


@pytest.mark.parametrize("model_id", ["", "it's", "x" * 101, "a b", "ä"])
def test_a_model_with_a_strange_name_is_refused(store: Store, model_id: str) -> None:
    with pytest.raises(ValueError, match="id of a model"):
        store.embed(Words(model_id))


def test_a_store_without_vectors_needs_no_numpy(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "from pathlib import Path\n"
        "from tests.activities.knowledge.making import HERE, Place, approach, ask, cues, learn\n"
        f"store = Place(Path({str(tmp_path / 'home')!r})).open()\n"
        "learn(store, approach('login'))\n"
        "assert cues(store.search_lexical('login', HERE)) == ['login']\n"
        "assert ask(store, 'forget', id=ask(store, 'list').hits[0].entry.id).changed == 1\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=Path(__file__).parents[3])
