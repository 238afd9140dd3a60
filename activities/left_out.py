"""What of a project does not come along into a workspace: whoever plans the night is to know of it before."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from activities.workspace import TreeEntry, Vault, read_blobs
from workflows.policy.record import one_line
from workflows.policy.words import counted

_FILTER = b"filter=lfs"
_ATTRIBUTES = 100
"""Files of attributes that are read."""
_ATTRIBUTES_BYTES = 100_000
_NAMED = 3
_NAME_BYTES = 60


async def left_out(vault: Vault, base: str, tree: Mapping[str, TreeEntry]) -> list[str]:
    """In words: the submodules of the ``base`` commit, and where it says that Git LFS keeps files.

    What a person has to know comes first: a record cuts long lines. Raises GitError.
    """
    said: list[str] = []
    if submodules := sorted(path for path, entry in tree.items() if entry.is_submodule):
        said.append(
            f"{counted(len(submodules), 'submodule')} of the project: empty unless a setup command fills them"
            f" ({_some(submodules)})"
        )
    named = [path for path in tree if PurePosixPath(path).name == ".gitattributes"][:_ATTRIBUTES]
    blobs = {path: tree[path].blob for path in named}
    texts = await read_blobs(vault, base, blobs.values(), max_bytes=_ATTRIBUTES_BYTES)
    if by_lfs := sorted(path for path, blob in blobs.items() if _FILTER in texts.get(blob, b"")):
        said.append(
            "files that Git LFS keeps are short pointers here, not what they stand for; which, is said in"
            f" {_some(by_lfs)}"
        )
    return said


def _some(paths: Sequence[str]) -> str:
    """Names of the repository's making, in one line each and as text that can be sent."""
    more = len(paths) - _NAMED
    shown = (os.fsencode(path).decode(errors="replace") for path in paths[:_NAMED])
    return ", ".join(one_line(path, _NAME_BYTES) for path in shown) + (f" and {more} more" if more > 0 else "")
