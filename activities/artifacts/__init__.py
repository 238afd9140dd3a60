"""Big evidence, by content hash: history holds hash, size and a short tail."""

from .artifacts import Artifacts
from .store import ArtifactError, Store

__all__ = ["ArtifactError", "Artifacts", "Store"]
