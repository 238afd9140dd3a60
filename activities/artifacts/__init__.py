"""Big evidence, by content hash: history holds hash, size and a short tail."""

from .artifacts import Artifacts
from .store import ArtifactError, ArtifactLostError, Store

__all__ = ["ArtifactError", "ArtifactLostError", "Artifacts", "Store"]
