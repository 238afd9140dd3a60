"""What stood in a tree before: a secret that is only moved or copied is nobody's doing now."""

import asyncio
from pathlib import Path

from overnight.base.redaction import Redactor, SlowTextError, markers

from .contents import Change, Content, contents, known_in_large
from .git import GitError, git

_MAX_SEARCHED = 200
_SEARCHES = 3
_SEARCH_S = 120.0
_SECONDS = 60.0
_MAX_FOUND = 16 * 2**20


class Before:
    """The tree of `base`, and the old versions of what changed or went; read when they are first asked for."""

    def __init__(self, git_dir: Path, base: str, changed: list[Change], redactor: Redactor) -> None:
        self._git_dir = git_dir
        self._base = base
        self._blobs = sorted({change.before for change in changed if change.before})
        self._redactor = redactor
        self._known: set[int] = set()
        self._lines: set[int] = set()
        self._read = False
        self._searches = 0

    def had(self, value: str) -> bool:
        """Whether this stood there, as far as `look_for` found out."""
        return hash(value) in self._known

    def had_line(self, line: str) -> bool:
        """Whether this line stood there with its marker."""
        return hash(line.strip()) in self._lines

    async def look_for(self, values: set[str]) -> None:
        """Find out which of these stood there: as a secret, or a few of them as any text. Raises GitError."""
        if not self._read:
            self._read = True
            async for some in contents(self._git_dir, self._blobs):
                await asyncio.to_thread(self._learn, some)
        missing = {value for value in values if not self.had(value)}
        if 0 < len(missing) <= _MAX_SEARCHED and self._searches < _SEARCHES:
            self._searches += 1
            await self._search(missing)

    async def held_known(self, blobs: list[str]) -> bool:
        """Whether a value that the process knows stands in one of these old versions. Raises GitError, OSError."""
        for blob in blobs:
            if await known_in_large(self._git_dir, blob, self._redactor):
                return True
        return False

    def _learn(self, some: list[Content]) -> None:
        for text in (content.text for content in some if content.text is not None):
            try:
                found = self._redactor.findings(text, seconds=_SECONDS)
            except SlowTextError:
                continue  # nothing of it counts as known
            self._known.update(hash(text[one.start : one.end]) for one in found)
            self._lines.update(hash(line.strip()) for _, line, _ in marked_lines(text))

    async def _search(self, values: set[str]) -> None:
        """Look through the whole tree, each value by its longest line. What takes too long is taken for new."""
        lines = {value: max(value.split("\n"), key=len) for value in values}
        asked = "\n".join(sorted(set(lines.values()))).encode("latin-1") + b"\n"
        how = ("grep", "--no-color", "--no-textconv", "-a", "-h", "-o", "-F", "-f", "-", self._base, "--")
        try:
            out = await git(
                *how,
                git_dir=self._git_dir,
                stdin=asked,
                ok=(0, 1),
                limit_s=_SEARCH_S,
                max_output=_MAX_FOUND,
                truncate=True,
            )
        except GitError:
            return
        seen = out.stdout.decode("latin-1")
        self._known |= {hash(value) for value, line in lines.items() if line in seen}


def marked_lines(text: str) -> list[tuple[int, str, str]]:
    """Number and text of each line with a marker, and the marker's rule."""
    found = []
    number, place = 1, 0
    for match in markers(text):
        number += text.count("\n", place, match.start())
        place = match.start()
        end = text.find("\n", place)
        line = text[text.rfind("\n", 0, place) + 1 : end if end >= 0 else len(text)]
        found.append((number, line, match["rule"]))
    return found
