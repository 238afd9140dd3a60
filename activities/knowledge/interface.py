"""What a store of knowledge can do, whichever database is behind it, and what makes vectors for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    Vectors = NDArray[np.float32]


class KnowledgeAwayError(Exception):
    """The store cannot be used now, in words and without a password: nothing is recalled, and nothing is kept."""


class Embedder(Protocol):
    """Makes a vector of a text's meaning. numpy comes with it; a store without one never imports it."""

    @property
    def model_id(self) -> str:
        """Names model and version: vectors of another one are never compared with these. At most 100 characters."""

    @property
    def dim(self) -> int:
        """Numbers of a vector."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """A row of length 1 for each text, as float32. Deterministic; called from several threads."""
