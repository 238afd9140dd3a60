"""What a power cut leaves of a repository's objects, and which of them are still what their names say.

All of this blocks: callers run it in a thread.
"""

import hashlib
import os
import re
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .git import environment

_FOLDER = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"[0-9a-f]{38}")
_CHUNK = 2**18


def has_emptied(git_dir: Path) -> bool:
    """Whether there is an object, a pack or a branch without a single byte: some milliseconds for a thousand."""
    places = [git_dir / "objects" / "pack", git_dir / "refs" / "heads" / "overnight"]
    with suppress(OSError):
        places += [place for place in (git_dir / "objects").iterdir() if _FOLDER.fullmatch(place.name)]
    return any(_has_empty_file(place) for place in places)


def _has_empty_file(folder: Path) -> bool:
    with suppress(OSError), os.scandir(folder) as entries:
        return any(
            entry.is_file(follow_symlinks=False)
            and not entry.stat(follow_symlinks=False).st_size
            and not entry.name.endswith((".keep", ".lock", ".promisor"))
            and not entry.name.startswith("tmp_")
            for entry in entries
        )
    return False


def save_sound(source: Path, target: Path) -> None:
    """Give one folder of objects what is sound in another one and not there yet. Raises OSError."""
    for loose in _loose(source):
        place = target / loose.parent.name / loose.name
        if not place.exists() and _is_sound(loose):
            place.parent.mkdir(exist_ok=True)
            os.link(loose, place)
    for index in (source / "pack").glob("pack-*.idx"):
        pack = index.with_suffix(".pack")
        if not (target / "pack" / pack.name).exists() and _is_sound_pack(index):
            os.link(pack, target / "pack" / pack.name)
            os.link(index, target / "pack" / index.name)


def _loose(objects: Path) -> Iterator[Path]:
    for folder in objects.iterdir():
        if _FOLDER.fullmatch(folder.name) and folder.is_dir():
            yield from (path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def _is_sound(loose: Path) -> bool:
    """Whether an object's content has the name under which it is kept."""
    inflate, digest = zlib.decompressobj(), hashlib.sha1(usedforsecurity=False)
    try:
        with loose.open("rb") as file:
            while piece := file.read(_CHUNK):
                while piece:
                    digest.update(inflate.decompress(piece, _CHUNK))
                    piece = inflate.unconsumed_tail
        digest.update(inflate.flush())
    except (OSError, zlib.error):
        return False
    return inflate.eof and not inflate.unused_data and digest.hexdigest() == loose.parent.name + loose.name


def _is_sound_pack(index: Path) -> bool:
    with suppress(OSError):
        command = ["git", "verify-pack", "--", str(index)]
        return subprocess.run(command, env=environment(), check=False, capture_output=True).returncode == 0
    return False
