"""Keeps the credential out of an answer that quotes it, without holding the answer up."""

from __future__ import annotations

import re
from collections.abc import Iterable

PLACEHOLDER = b"[credential]"


class Veil:
    """Replaces secrets in bytes that come piece by piece, also where a secret lies across pieces.

    Only these exact bytes: a service that encodes them, or spreads them over several events, is not understood.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        known = sorted({secret.encode() for secret in secrets if secret}, key=len, reverse=True)
        self._known = known
        self._pattern = re.compile(b"|".join(map(re.escape, known))) if known else None
        self._held = b""

    def show(self, piece: bytes) -> bytes:
        """What can be seen now. Of its end, what may be the beginning of a secret waits for the next piece."""
        if self._pattern is None:
            return piece
        text = self._hide(self._held + piece if self._held else piece)
        cut = len(text) - self._begun(text)
        self._held = text[cut:]
        return text[:cut] if self._held else text

    def rest(self) -> bytes:
        """What was still waiting, when nothing more comes."""
        held, self._held = self._held, b""
        return held

    def _hide(self, text: bytes) -> bytes:
        if self._pattern is None or not any(secret in text for secret in self._known):
            return text
        return self._pattern.sub(PLACEHOLDER, text)

    def _begun(self, text: bytes) -> int:
        """How many bytes at the end of ``text`` are the beginning of a secret."""
        longest = 0
        for secret in self._known:
            at = text.find(secret[:1], max(0, len(text) - len(secret) + 1))
            while at >= 0:
                if secret.startswith(text[at:]):
                    longest = max(longest, len(text) - at)
                    break
                at = text.find(secret[:1], at + 1)
        return longest
