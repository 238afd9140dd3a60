"""Finding a place for control groups, on trees that look like real hosts; and for real on this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.sandbox import cgroup
from activities.sandbox.cgroup import Cgroups, find_cgroups
from activities.sandbox.limits import Limits

LIMITS = Limits(
    memory_bytes=500_000_000,
    processes=100,
    cpu_seconds=60,
    open_files=100,
    file_bytes=1_000,
    output_bytes=1_000,
    disk_bytes=1_000,
)


class FakeHost:
    """A cgroup tree of plain files: what is written stays to be read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = folder / "cgroup"
        self.mounts = folder / "mounts"
        self.own = folder / "own"
        monkeypatch.setattr(cgroup, "_MOUNTS", self.mounts)
        monkeypatch.setattr(cgroup, "_OWN", self.own)

    def version_2(self, own: str, passes_on: dict[str, str]) -> None:
        self.mounts.write_text(f"proc /proc proc rw 0 0\ncgroup2 {self.root} cgroup2 rw,nosuid 0 0\n")
        self.own.write_text(f"0::{own}\n")
        (self.root / own.lstrip("/")).mkdir(parents=True)
        for path, controllers in passes_on.items():
            (self.root / path.lstrip("/") / "cgroup.subtree_control").write_text(controllers)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost(tmp_path, monkeypatch)


def test_the_nearest_ancestor_that_passes_controllers_on(host: FakeHost) -> None:
    """A systemd user session: the terminal's own scope passes nothing on, the slice above it does."""
    host.version_2(
        "/user.slice/user@1000.service/app.slice/term.scope",
        {
            "/user.slice": "cpu memory pids",
            "/user.slice/user@1000.service/app.slice": "memory pids",
            "/user.slice/user@1000.service/app.slice/term.scope": "",
        },
    )
    found = cgroup._version_2()
    assert [c.parents for c in found] == [
        (host.root / "user.slice/user@1000.service/app.slice",),
        (host.root / "user.slice",),
    ]


def test_a_host_that_passes_nothing_on_has_none(host: FakeHost) -> None:
    host.version_2("/session.scope", {"/session.scope": "cpu", "/": "cpu"})
    assert cgroup._version_2() == []
    assert cgroup._version_1() == []
    assert find_cgroups() is None


def test_limits_and_hits_of_version_2(tmp_path: Path) -> None:
    group = Cgroups(2, (tmp_path,)).make(LIMITS)
    folder = group.folders[0]
    assert (folder / "memory.max").read_text() == "500000000"
    assert (folder / "pids.max").read_text() == "100"
    assert (folder / "memory.swap.max").read_text() == "0"
    assert group.hits() == set()
    (folder / "memory.events").write_text("low 0\nmax 12\noom 1\noom_kill 1\n")
    (folder / "pids.events").write_text("max 4\n")
    assert group.hits() == {"memory", "processes"}


def test_groups_of_workers_that_are_gone_are_swept(tmp_path: Path) -> None:
    cgroups = Cgroups(2, (tmp_path,))
    gone, alive, foreign = tmp_path / "overnight-99999999-1", cgroups.make(LIMITS).folders[0], tmp_path / "other-1-1"
    gone.mkdir()
    foreign.mkdir()
    cgroups.sweep()
    assert (gone.exists(), alive.exists(), foreign.exists()) == (False, True, True)


def test_this_hosts_groups_are_real() -> None:
    found = find_cgroups()
    if found is None:
        pytest.skip("this host lets nobody make a control group")
    group = found.make(LIMITS)
    try:
        assert all(entry.exists() for entry in group.entries)
    finally:
        group.remove()
    assert not any(folder.exists() for folder in group.folders)
