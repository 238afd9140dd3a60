"""Commit messages: a subject for people, and trailers by which a commit's step is recognised."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .git import git

SESSION = "Overnight-Session"
ITERATION = "Overnight-Iteration"
STEP = "Overnight-Step"
RESTORES = "Overnight-Restores"

MAX_SUBJECT = 200
"""Longest subject in characters."""
MAX_BODY = 16_000
"""Longest body in characters."""
MAX_STEP = 200
"""Longest step name in characters."""

_TRAILER = re.compile(r"(Overnight-[A-Za-z]+): (.*)")


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit's own record. `time` is seconds since 1970, `trailers` are Overnight's in its last paragraph."""

    commit: str
    tree: str
    parents: tuple[str, ...]
    time: int
    subject: str
    trailers: Mapping[str, str] = field(default_factory=dict)

    def is_step(self, session_id: str, iteration: int, step: str) -> bool:
        """Whether this is the checkpoint of exactly that step."""
        wanted = {SESSION: session_id, ITERATION: str(iteration), STEP: one_line(step, MAX_STEP)}
        return all(self.trailers.get(key) == value for key, value in wanted.items())


def one_line(text: str, limit: int) -> str:
    """Return the text as one line of at most `limit` characters: control characters and line ends become spaces."""
    clean = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} else c for c in text[: limit * 4])
    return " ".join(clean.split())[:limit].strip()


def compose(subject: str, body: str, trailers: Mapping[str, str]) -> bytes:
    """Return a message whose last paragraph is exactly these trailers, whatever subject and body contain."""
    text = body.replace("\0", "").replace("\r\n", "\n").strip()[:MAX_BODY].strip()
    paragraphs = [one_line(subject, MAX_SUBJECT) or "Checkpoint"]
    if text:
        paragraphs.append(text)
    paragraphs.append("\n".join(f"{key}: {one_line(value, MAX_STEP)}" for key, value in trailers.items()))
    return ("\n\n".join(paragraphs) + "\n").encode("utf-8", "replace")


def read_trailers(message: str) -> dict[str, str]:
    """Return Overnight's trailers of a message: those of its last paragraph, and none when it has another line."""
    last = message.rstrip().rsplit("\n\n", 1)[-1].split("\n")
    matches = [_TRAILER.fullmatch(line) for line in last]
    return {m[1]: m[2] for m in matches if m} if all(matches) else {}


async def read_commit(git_dir: Path, commit: str) -> CommitInfo:
    """Return the record of a commit that this repository holds. Raises GitError."""
    raw = (await git("cat-file", "commit", commit, git_dir=git_dir)).stdout.decode(errors="replace")
    head, _, message = raw.partition("\n\n")
    tree, parents, time = "", [], 0
    for line in head.split("\n"):
        key, _, value = line.partition(" ")
        if key == "tree":
            tree = value
        elif key == "parent":
            parents.append(value)
        elif key == "committer":
            time = _seconds(value)
    subject = one_line(message.lstrip("\n").split("\n\n", 1)[0], MAX_SUBJECT)
    return CommitInfo(commit, tree, tuple(parents), time, subject, read_trailers(message))


def _seconds(signature: str) -> int:
    found = re.search(r"> (-?\d+)", signature)
    return int(found[1]) if found else 0
