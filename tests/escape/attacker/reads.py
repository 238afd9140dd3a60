"""Reads that must not succeed: files of the host, other processes, memory, key rings, another session's objects."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from tests.escape.attacker.kit import RefusedError, attempt, first, sign, told

_numbers = count()
_MAX_REGION = 400_000_000
_BLOCK = 4_000_000


def plainly(path: str) -> str:
    """The content of a file, the names in a folder."""
    if os.path.isdir(path):
        names = os.listdir(path)
        if not names:
            raise RefusedError("an empty folder")
        return f"{len(names)} names"
    with open(path, "rb") as file:
        content = file.read(4_096)
    if not content:
        raise RefusedError("nothing in it")
    return f"{len(content)} bytes"


def by_own_root(path: str) -> str:
    """By the root folder of this process."""
    return plainly(f"/proc/self/root{path}")


def by_first_root(path: str) -> str:
    """By the root folder of the first process."""
    return plainly(f"/proc/{first(told())}/root{path}")


def by_link(path: str) -> str:
    """Through a symbolic link in the workspace."""
    link = Path(f"look-{next(_numbers)}")
    link.symlink_to(path)
    try:
        return plainly(str(link))
    finally:
        link.unlink()


def by_dots(path: str) -> str:
    """Up from the workspace, and down again."""
    return plainly(f"{os.getcwd()}/{'../' * 20}{path.lstrip('/')}")


def by_program(path: str) -> str:
    """By programs of the system, some of which were given more rights than others."""
    ended = subprocess.run(["cat", "--", path], capture_output=True, check=False, timeout=10)
    if not ended.stdout:
        raise RefusedError(ended.stderr.decode(errors="replace")[-80:])
    return f"{len(ended.stdout)} bytes"


WAYS: list[Callable[[str], str]] = [plainly, by_own_root, by_first_root, by_link, by_dots]


def of_processes(known: dict[str, Any], what: str, wanted: Callable[[bytes], object]) -> str:
    """Look at a file of every process that there is, its own included."""
    for pid in _pids(known):
        with suppress(OSError):
            if wanted(Path(f"/proc/{pid}/{what}").read_bytes()):
                return f"process {pid}"
    raise RefusedError("nothing to be seen")


def memory(known: dict[str, Any]) -> str:
    """A secret in the memory of any other process: Claude Code's, the sandbox's first one."""
    looked = 0
    for pid in _pids(known):
        if pid == os.getpid():
            continue
        with suppress(OSError):
            looked += 1
            if any(sign(known) in block for block in _regions(pid)):
                return f"process {pid}"
    raise RefusedError(f"nothing in {looked} processes")


def handles(known: dict[str, Any]) -> str:
    """An open file of the host, left in any process by whoever started it."""
    places = [str(known["place"]), *known["more_places"]]
    for pid in _pids(known):
        with suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    target = os.readlink(entry.path)
                    if any(target.startswith(place) for place in places):
                        return f"process {pid}: {target}"
    raise RefusedError("none")


def key_ring() -> str:
    """The key rings of whoever runs the worker: the session's, and the list of all."""
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = {"x86_64": 250, "aarch64": 219}
    ring = libc.syscall(numbers[os.uname().machine], 0, -3, 0)
    if ring < 0:
        raise OSError(ctypes.get_errno(), "keyctl")
    return f"key ring {ring}"


def objects(folder: str, commit: str) -> str:
    """A commit of another session, by the objects that this session's git borrows, or those of another place."""
    env = {**os.environ, "GIT_ALTERNATE_OBJECT_DIRECTORIES": folder} if folder else dict(os.environ)
    args = ["git", "-c", "safe.directory=*", "cat-file", "-p", commit]
    ended = subprocess.run(args, capture_output=True, env=env, check=False, timeout=10)
    if ended.returncode != 0:
        raise RefusedError(ended.stderr.decode(errors="replace")[-80:])
    return f"{len(ended.stdout)} bytes"


def by_program_of_git(path: str) -> str:
    """A repository of the host, with git's own means."""
    args = ["git", "-c", "safe.directory=*", "--git-dir", path, "for-each-ref"]
    ended = subprocess.run(args, capture_output=True, check=False, timeout=10)
    if ended.returncode != 0 or not ended.stdout:
        raise RefusedError(ended.stderr.decode(errors="replace")[-80:] or "no refs")
    return ended.stdout.decode(errors="replace")[:80]


def main() -> None:
    known = told()
    for label, path in known["read"].items():
        for way in WAYS:
            attempt(f"read:{label}:{way.__name__}", _aimed(way, path))
    for label, path in known["read_once"].items():
        attempt(f"read:{label}", _aimed(by_program, path))
    for label, path in known["repositories"].items():
        attempt(f"read:{label}:refs", _aimed(by_program_of_git, path))
    for label, folder in known["objects"].items():
        attempt(f"read:objects:{label}", _object(folder, known["commit_of_another"]))
    secret, place = sign(known), re.compile("|".join(map(re.escape, known["hidden_names"])).encode())
    attempt("look:environments", lambda: of_processes(known, "environ", lambda text: secret in text))
    attempt("look:command lines", lambda: of_processes(known, "cmdline", lambda text: secret in text))
    attempt("look:paths in command lines", lambda: of_processes(known, "cmdline", place.search))
    attempt("look:processes of the host", lambda: _process(int(known["pid"])))
    attempt("look:open files", lambda: handles(known))
    attempt("look:memory", lambda: memory(known))
    attempt("look:key rings", key_ring)


def _pids(known: dict[str, Any]) -> list[int]:
    """All processes that there are, unless it was told to keep to some."""
    only: list[int] = known.get("only_processes", [])
    return only or [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _process(pid: int) -> str:
    """A process of the host, told by its number and what it was started with."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    if b"worker" not in command and b"outpost" not in command:
        raise RefusedError("another one")
    return f"process {pid}"


def _regions(pid: int) -> Iterator[bytes]:
    """What a process can write of its own memory, in blocks that overlap."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps.read().splitlines():
            span, rights, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if not rights.startswith("rw") or end - start > _MAX_REGION:
                continue
            with suppress(OSError, ValueError):
                mem.seek(start)
                while (now := mem.tell()) < end:
                    block = mem.read(min(_BLOCK, end - now))
                    if not block:
                        break
                    yield block
                    if mem.tell() < end:
                        mem.seek(-100, os.SEEK_CUR)


def _aimed(way: Callable[[str], str], path: str) -> Callable[[], str]:
    return lambda: way(path)


def _object(folder: str, commit: str) -> Callable[[], str]:
    return lambda: objects(folder, commit)


if __name__ == "__main__":
    main()
