"""Vectors for entries that have none of the present model: what others wrote, and everything when the model changes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from activities.knowledge.embedding import Semantic
from activities.knowledge.interface import KnowledgeAwayError
from activities.knowledge.store import Store

log = structlog.get_logger(__name__)

BATCH = 32
"""Entries at once: 0.2 s of one core."""
PAUSE_SECONDS = 0.2
"""Between batches: half of a core at most, and other writers get in between."""
EVERY_SECONDS = 60.0
"""How often to look for what other processes wrote without vectors."""


class Backfill:
    """A thread of its own, which ends with the process or by ``close``."""

    def __init__(self, store: Store, semantic: Callable[[], Semantic], *, pause: float = PAUSE_SECONDS) -> None:
        self._store, self._semantic, self._pause = store, semantic, pause
        self._stop, self._woken, self._lock = threading.Event(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self.complete = False
        """Whether, when it was last looked, every entry had a vector."""

    def start(self) -> None:
        """Begin, if it has not begun: load the model, read the vectors that there are, make those that are not.

        Returns at once, and costs nothing after the first time. Without an embedder the thread ends by itself.
        """
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="knowledge-vectors", daemon=True)
                self._thread.start()

    @property
    def begun(self) -> bool:
        """Whether it was started."""
        return self._thread is not None

    def catch_up(self) -> None:
        """Make some vectors now, before a question of a session: what the worker learned before it had the model.

        Raises ``KnowledgeAwayError``. One batch at most, and none once all have been made.
        """
        if self.begun and not self.complete:
            self.batch()

    def wake(self) -> None:
        """Look now, and not only in a minute: something was written."""
        self.complete = False
        self._woken.set()

    def close(self) -> None:
        """End it, after the batch that it is at; it does not begin again."""
        self._stop.set()
        self._woken.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout=10)

    def _run(self) -> None:
        embedder = self._semantic().embedder
        warm = False
        while embedder is not None and not self._stop.is_set():
            done = 0
            self._woken.clear()
            try:
                if not warm:
                    # What is read at the first search (0.7 s of 100,000 entries) need not be waited for by a session.
                    self._store.search_vector(embedder.embed(["."])[0], embedder.model_id, None, limit=1)
                    warm = True
                done = self.batch()
            except KnowledgeAwayError as error:
                log.info("knowledge gets no vectors now", reason=str(error))
            except Exception:
                # Whatever it is, sessions go on without these vectors; the next look is in a minute.
                log.exception("knowledge gets no vectors now")
            if done:
                self._stop.wait(self._pause)
            else:
                self._woken.wait(EVERY_SECONDS)

    def batch(self) -> int:
        """Embed some; return how many. 0: all have vectors."""
        embedder = self._semantic().embedder
        done = self._store.embed(embedder, BATCH) if embedder is not None else 0
        self.complete = done < BATCH
        return done
