"""A disk that takes nothing more is told in words, by whoever is asked; when it has room again, all goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from overnight.base import disk
from overnight.cli.codes import Code
from overnight.cli.inspection import home as home_finding
from overnight.cli.trouble import in_words
from overnight.errors import UnreachableError
from overnight.stack import StackError, down
from overnight.stack.health import serves
from overnight.stack.ports import answers
from overnight.stack.server import environment, find_program
from tests.stack.conftest import Site, eventually, pids

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


@pytest.fixture
def small(site: Site) -> Iterator[Site]:
    """A home on a disk of its own, of 64 MB."""
    site.home.mkdir(mode=0o700)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "overnight", str(site.home)])
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        yield site
    finally:
        (site.home / "filler").unlink(missing_ok=True)
        down(site.settings)
        subprocess.run(["umount", "--lazy", str(site.home)], check=True)


def fill(folder: Path) -> None:
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def cannot_keep(address: str) -> bool:
    """Try to start a session, as nothing is amiss as long as nothing is written."""
    program = find_program()
    assert program
    line = [program, "workflow", "start", "--type", "T", "--task-queue", "q", "--address", address]
    with suppress(subprocess.TimeoutExpired):
        return subprocess.run(line, env=environment(), capture_output=True, timeout=3).returncode != 0
    return True


def test_full_disk_under_a_running_stack(small: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = small.up()
    assert disk.full(small.home) is None
    fill(small.home)
    eventually(lambda: cannot_keep(stack.address) and not serves(stack), seconds=180, what="a server that cannot write")
    eventually(lambda: answers(stack.port), what="a port that answers, if not to anything")
    with pytest.raises(StackError, match=r"The disk that holds .* is full\. Free some space"):
        small.up()
    monkeypatch.setenv("OVERNIGHT_HOME", str(small.home))
    said, code = in_words(UnreachableError("Temporal does not answer"))
    assert code is Code.UNREACHABLE
    assert said.splitlines()[1].startswith(f"The disk that holds {small.home} is full.")
    assert home_finding(small.settings).state == "red"
    assert "is full" in home_finding(small.settings).detail

    (small.home / "filler").unlink()
    assert in_words(UnreachableError("Temporal does not answer"))[0] == "Temporal does not answer"
    after = eventually(small.up, what="the stack")
    assert pids(after)[0] == pids(stack)[0]
    assert not cannot_keep(after.address)


def test_full_disk_before_the_start(small: Site) -> None:
    fill(small.home)
    with pytest.raises(StackError, match="is full"):
        small.up()
    assert down(small.settings) is False
    assert small.processes() == []
