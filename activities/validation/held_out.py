"""Held-out checks: packed for the store, put into a clean clone, and told of no more than was decided."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from activities.validation.source import spelled
from activities.workspace import HeldOutFile, HeldOutFiles, remove

_DECLARED = re.compile(
    r"\b(?:def|func|fun|fn|void)\s+(\w{1,100})\s*\(|\b(?:it|test|specify|describe)\s*[(\s]\s*[\"'`]([^\"'`\n]{1,100})[\"'`]"
)
_FAILED = re.compile(
    r"\b(?:FAIL|FAILED|FAILURE|ERROR|failed|failing|panicked)\b|not ok|[\u2715\u2717\u2718\u00d7]|^\s*\d+\) "
)
_STEERS = re.compile(
    r"\bpytest_(?!asyncio\b)|\b_pytest\b|\bhook(?:impl|wrapper)\b|\b_exit\b|\bimport\s*\(?\s*\*|\bsys\s*\.\s*modules\b"
    r"|\b(?:__getattr__|__dict__|globals|vars|locals|setattr|exec|eval|pluginmanager)\b"
)
_COUNTS = re.compile(r"\b(?:pytest|unittest)\b")
_UNHEARD = re.compile(r"[>|]")
NONE_RAN = "They end with exit code 0 before a test of theirs has run. The code must let its tests run to their end."
_MAX_LINES = 20_000
_MAX_NAMES = 20
_MAX_WITHOUT = 3


def pack(files: HeldOutFiles) -> bytes:
    """The files as a tar, the same for the same files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, file in sorted(files.items()):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(file.content), 0o755 if file.executable else 0o644
            tar.addfile(member, io.BytesIO(file.content))
    return packed.getvalue()


def unpack(packed: bytes) -> dict[str, HeldOutFile]:
    """What ``pack`` packed. Raises ``tarfile.TarError``."""
    files: dict[str, HeldOutFile] = {}
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as tar:
        for member in tar:
            opened = tar.extractfile(member) if member.isfile() else None
            if opened is not None:
                files[member.name] = HeldOutFile(opened.read(), bool(member.mode & 0o100))
    return files


def put(files: HeldOutFiles, clone: Path, target: str, *, replaces: bool) -> None:
    """Write the files below ``target`` of a checkout in which nothing runs; links there lead nowhere.

    With ``replaces`` what the checkout has at ``target`` goes first: nobody else's files belong there.
    """
    below = PurePosixPath(target)
    if replaces and below.parts:
        remove(_folder(clone, below.parent) / below.name)
    for path, file in files.items():
        place = below / path
        if place.is_absolute() or ".." in place.parts:
            raise ValueError(f"{path} leads out of the clone")
        where = _folder(clone, place.parent) / place.name
        remove(where)
        with where.open("xb") as opened:
            opened.write(file.content)
        where.chmod(0o755 if file.executable else 0o644)


def _folder(clone: Path, folder: PurePosixPath) -> Path:
    """The folder of the checkout, made of real folders all the way."""
    here = clone
    for part in folder.parts:
        here = here / part
        if here.is_symlink() or not here.is_dir():
            remove(here)
            here.mkdir()
    return here


def steers_runner(raw: bytes) -> bool:
    """Whether a `conftest.py` does more than give fixtures: it could let any test pass."""
    text = spelled(raw)
    return text is None or _STEERS.search(text) is not None


def counts_its_tests(command: str) -> bool:
    """Whether a runner of this command would be heard to say how many tests it ran: then silence means none."""
    return _COUNTS.search(command) is not None and _UNHEARD.search(command) is None


def without(paths: Iterable[str]) -> str:
    """What the agent is told of its files that took no part; empty when all did."""
    named = [path.encode("utf-8", "replace").decode()[:60] for path in paths][:_MAX_WITHOUT]
    return f" Settings of yours took no part in them: {', '.join(named)}." if named else ""


def told(tells: Literal["nothing", "names", "full"], output: str, files: HeldOutFiles) -> str:
    """What the agent is told of held-out checks that did not pass."""
    if tells == "full":
        return output
    if tells == "nothing":
        return "They do not all pass. Nothing more is told: do what the goal says, in general."
    names = failed_names(output, files.values())
    if not names:
        return "They do not all pass; which ones could not be told. Do what the goal says, in general."
    return f"These do not pass: {', '.join(names)}. Their content is not told: do what the goal says, in general."


def failed_names(output: str, files: Iterable[HeldOutFile]) -> list[str]:
    """Names of tests that lines about failures speak of, at most 20.

    Only names that the files declare: what the tested code prints cannot tell anything else.
    """
    declared = {
        name
        for file in files
        for found in _DECLARED.finditer(file.content.decode("utf-8", "replace"))
        for name in found.groups()
        if name
    }
    failing = [line[:1_000] for line in output.splitlines()[-_MAX_LINES:] if _FAILED.search(line[:1_000])]
    words = {word for line in failing for word in re.findall(r"\w+", line)}
    named = {name for name in declared if name in words or (" " in name and any(name in line for line in failing))}
    return sorted(named)[:_MAX_NAMES]
