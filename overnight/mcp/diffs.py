"""A session's changes in pages: whole files of the list, whole lines of the patch, from the same two commits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from overnight.changes import Comparison
from overnight.errors import InvalidRequestError
from overnight.mcp.advice import advice
from overnight.mcp.answers import MAX_CHARACTERS, Diff, FileChange, size
from workflows.contracts.status import SessionStatus

FILES_ROOM = 10_000
"""What the list of files may take of an answer that has a patch."""
NEXT_ROOM = 1_000
"""What is kept for words and cursor."""

_CURSOR = re.compile(r"([fl])(\d{1,8})\.([0-9a-f]{40,64})\.([0-9a-f]{40,64})")


@dataclass(frozen=True)
class Page:
    """Where a diff goes on: at a file of the list, or at a line of the patch, between two commits."""

    ends: tuple[str, str] | None = None
    first_file: int = 0
    first_line: int = 0
    patch: bool = True

    @classmethod
    def read(cls, cursor: str | None, *, patch: bool) -> Page:
        """The page that ``cursor`` stands for, the first without one. Raises ``InvalidRequestError``."""
        if cursor is None:
            return cls(patch=patch)
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise InvalidRequestError("cursor: it is none of this tool's; leave it out to begin")
        kind, at, base, head = found.groups()
        if kind == "f":
            return cls((base, head), first_file=int(at), patch=False)
        return cls((base, head), first_line=int(at))


def page_of(known: SessionStatus, found: Comparison, page: Page, path: str | None = None) -> Diff:
    """As much of a comparison as fits, and the cursor of the rest; the files are listed once, before the patch."""
    told = found.answer
    lines = told.patch.split("\n")[:-1] if page.patch else []
    answer = Diff(
        session_id=known.session_id,
        status=known.status.value,
        branch=known.branch,
        files=[FileChange(**file.model_dump()) for file in told.files] if not page.first_line else [],
        total_files=told.total_files or len(told.files),
        patch="",
        truncated=False,
        next_cursor=None,
        next="",
    )
    room = MAX_CHARACTERS - NEXT_ROOM if not lines else FILES_ROOM
    while size(answer) > room and answer.files:
        answer = answer.model_copy(update={"files": answer.files[: len(answer.files) * 3 // 4]})
    shown = _that_fit(answer, lines, MAX_CHARACTERS - NEXT_ROOM)
    if lines and not shown:  # one line alone is too long
        answer = answer.model_copy(update={"patch": f"{lines[0][: MAX_CHARACTERS // 4]} … (cut)\n"})
        shown = 1
    else:
        answer = answer.model_copy(update={"patch": "".join(f"{line}\n" for line in lines[:shown])})
    cursor = _cursor(found, page, len(answer.files), shown, whole=shown == len(lines))
    listed = not page.patch or bool(page.first_line) or len(answer.files) == answer.total_files
    truncated = cursor is not None or not listed
    return answer.model_copy(
        update={"next_cursor": cursor, "truncated": truncated, "next": _next(known, answer, cursor, truncated, path)}
    )


def _that_fit(answer: Diff, lines: list[str], limit: int) -> int:
    """How many of the lines fit."""
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high + 1) // 2
        patch = "".join(f"{line}\n" for line in lines[:middle])
        low, high = (middle, high) if size(answer.model_copy(update={"patch": patch})) <= limit else (low, middle - 1)
    return low


def _cursor(found: Comparison, page: Page, files: int, shown: int, *, whole: bool) -> str | None:
    if found.base is None or found.head is None:
        return None
    ends = f"{found.base}.{found.head}"
    if not page.patch:
        reached = page.first_file + files
        return f"f{reached}.{ends}" if files and reached < found.answer.total_files else None
    goes_on = not whole or found.answer.patch_goes_on
    return f"l{page.first_line + shown}.{ends}" if shown and goes_on else None


def _next(known: SessionStatus, answer: Diff, cursor: str | None, truncated: bool, path: str | None) -> str:
    if cursor is not None:
        return "There is more: call again with cursor=next_cursor, or with path= for one file or folder."
    if truncated:
        return "Not all files are listed: format=stat lists them, and path= shows one file or folder."
    if not answer.files and not answer.patch and path is not None:
        return (
            f"Nothing that changed is at {path[:200]!r}. Paths count from the top of the project: call again without"
            " path to see all that changed."
        )
    if not answer.files and not answer.patch:
        return f"Nothing changed (yet). {advice(known)}"
    return advice(known)
