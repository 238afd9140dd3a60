"""What sessions learned, kept for the next ones: the store, and what a store with an embedder can do.

Every call blocks: make it by ``asyncio.to_thread``. Calls may come from several threads and processes at once.
"""

from .interface import Embedder, KnowledgeAwayError
from .knowledge import Knowledge
from .store import MAX_FAILED, Level, Match, Store, open_store

__all__ = ["MAX_FAILED", "Embedder", "Knowledge", "KnowledgeAwayError", "Level", "Match", "Store", "open_store"]
