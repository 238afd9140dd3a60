"""Looking for secrets in what changed: each text with the whole table, everything else for the values that are known.

A text may be hostile. Each gets a bounded time, and all together do: one that takes longer counts as not examined.
"""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from overnight.base.redaction import KNOWN_VALUE, NOT_EXAMINED, Finding, Redactor, SlowTextError

from .before import Before, marked_lines
from .certain import Place, is_certain, place_of
from .contents import Change, Content, contents, known_in_large

FILE_S = 60.0
"""Processor time in seconds that examining one file may take; an ordinary one takes 0.1 for each MB."""
ALL_S = 900.0
"""Processor time in seconds that examining all files of one commit may take."""


@dataclass(slots=True)
class Budget:
    """Processor time that is left for a commit."""

    left: float = ALL_S

    def findings(self, redactor: Redactor, text: str) -> list[Finding]:
        """What stands in a text. Raises SlowTextError when the file's share or the rest is spent. Blocks."""
        started = time.thread_time()
        try:
            return redactor.findings(text, seconds=min(FILE_S, self.left))
        finally:
            self.left -= time.thread_time() - started


@dataclass(frozen=True, slots=True)
class Examined:
    """A blob that has something: secrets, markers (number of the line, line, rule), or what nothing can mend.

    `whole` has line and rule of secrets that no marker can take the place of, as in a picture: line 0 for the file.
    """

    content: Content
    place: Place
    secrets: list[Finding] = field(default_factory=list)
    markers: list[tuple[int, str, str]] = field(default_factory=list)
    whole: list[tuple[int, str]] = field(default_factory=list)

    @property
    def values(self) -> set[str]:
        """What the secrets are."""
        text = self.content.text or ""
        return {text[found.start : found.end] for found in self.secrets}


async def examine(
    git_dir: Path,
    changed: list[Change],
    before: Before,
    redactor: Redactor,
    budget: Budget,
    *,
    left_over: bool = False,
) -> AsyncIterator[Examined]:
    """The blobs with new secrets, and with new markers if they are asked for. Raises GitError, OSError."""
    places, old = by_blob(changed), {change.before for change in changed}
    where = {blob: place_of([change.path for change in there], redactor) for blob, there in places.items()}
    async for some in contents(git_dir, sorted(blob for blob in places if blob not in old)):
        seen = []
        for content in some:
            examined = await asyncio.to_thread(_look_at, content, where[content.blob], redactor, budget, left_over)
            if content.too_large and (lines := await known_in_large(git_dir, content.blob, redactor)):
                examined.whole.extend((line, KNOWN_VALUE) for line in lines)
            if examined.secrets or examined.markers or examined.whole:
                seen.append(examined)
        if not seen:
            continue
        await before.look_for(set().union(*(examined.values for examined in seen)))
        for examined in seen:
            if rest := await _new(examined, before, places[examined.content.blob]):
                yield rest


async def _new(examined: Examined, before: Before, there: list[Change]) -> Examined | None:
    """What of it did not stand there before."""
    text, whole = examined.content.text or "", examined.whole
    old = [change.before for change in there if change.before]
    known = any(found.rule == KNOWN_VALUE for found in examined.secrets) and not await before.held_known(old)
    # What the worker knows may stay where it stood, and goes nowhere else.
    secrets = [
        found
        for found in examined.secrets
        if (known if found.rule == KNOWN_VALUE else not before.had(text[found.start : found.end]))
    ]
    markers = [marked for marked in examined.markers if not before.had_line(marked[1])]
    if any(rule == KNOWN_VALUE for _, rule in whole):
        whole = [] if await before.held_known(old) else whole
    if not (secrets or markers or whole):
        return None
    return Examined(examined.content, examined.place, secrets, markers, whole)


def by_blob(changed: list[Change]) -> dict[str, list[Change]]:
    """The places of each new blob."""
    places: dict[str, list[Change]] = {}
    for change in changed:
        if change.after:
            places.setdefault(change.after, []).append(change)
    return places


def _look_at(content: Content, place: Place, redactor: Redactor, budget: Budget, left_over: bool) -> Examined:
    text = content.text
    if text is None:
        known = redactor.known_lines(io.BytesIO(content.raw))
        return Examined(content, place, whole=[(line, KNOWN_VALUE) for line in known])
    try:
        secrets = certain_in(text, place, redactor, budget)
    except SlowTextError:
        return Examined(content, place, whole=[(0, NOT_EXAMINED)])
    hidden: list[tuple[int, str]] = []
    # What only looks like UTF-16 may be something else, and what begins as text may go on as anything.
    if (content.codec or "\0" in text) and not any(found.rule == KNOWN_VALUE for found in secrets):
        hidden = [(line, KNOWN_VALUE) for line in redactor.known_lines(io.BytesIO(content.raw))]
    return Examined(content, place, secrets, marked_lines(text) if left_over else [], hidden)


def certain_in(text: str, place: Place, redactor: Redactor, budget: Budget) -> list[Finding]:
    """The secrets for which a text at this place may be changed. Blocks. Raises SlowTextError."""
    found = budget.findings(redactor, text)
    return [one for one in found if is_certain(one, text[one.start : one.end], place)]
