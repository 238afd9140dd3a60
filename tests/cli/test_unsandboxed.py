"""A machine that cannot isolate: sessions need a person's word, and whatever runs all the same says so plainly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from overnight.base.settings import Settings
from overnight.stack import down
from tests.cli.support import VALIDATE, Cli, none_left

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

NO_SANDBOX = "NOT SANDBOXED: what the agent runs can read and change whatever the worker's user can"


@pytest.fixture
def bare(cli: Cli, place: Path, tmp_path: Path) -> Iterator[Cli]:
    """A command line whose bubblewrap makes no namespaces, as on a host that does not let it."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "bwrap"
    program.write_text("#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o755)
    home = place / "bare"
    path = f"{tmp_path / 'bin'}{os.pathsep}{cli.environment['PATH']}"
    yield Cli({**cli.environment, "PATH": path, "OVERNIGHT_HOME": str(home)}, cli.cwd)
    down(Settings(home=home, grace_seconds=0))
    none_left(home)


def isolation(cli: Cli) -> tuple[int, str, str]:
    """Exit code of ``doctor``, state and fix of its finding on the isolation."""
    done = cli("doctor", "--offline", "--json")
    (found,) = [f for f in done.json["findings"] if f["name"] == "isolation"]
    assert "setting up uid map: Permission denied" in found["detail"]
    assert [line for line in found["lines"] if line.startswith("lacks: ")]
    assert not [line for line in found["lines"] if line.startswith("network: ")]
    return done.code, found["state"], found["fix"]


def test_without_isolation_a_session_needs_a_persons_word_and_says_so_all_along(bare: Cli) -> None:
    refused = bare("run", "x", "--id", "bare-one", "--detach")
    assert refused.code == 6
    assert "cannot isolate what the agent runs (this host does not let bubblewrap make namespaces" in refused.err
    assert "OVERNIGHT_ALLOW_UNSANDBOXED=1" in refused.err
    assert bare("status", "bare-one").code == 3
    code, state, fix = isolation(bare)
    assert (code, state, "OVERNIGHT_ALLOW_UNSANDBOXED=1" in fix) == (6, "red", True)

    assert bare("down").code == 0
    bare.environment["OVERNIGHT_ALLOW_UNSANDBOXED"] = "1"
    ran = bare("run", "x", "--id", "bare-one", "--validate", VALIDATE, "--wait")
    assert ran.code == 0, ran.out + ran.err
    assert f"WARNING: {NO_SANDBOX}" in ran.err
    assert "  sandbox  none, network: the host's\n" in ran.out
    assert NO_SANDBOX in " ".join(bare("status", "bare-one").out.split())
    assert f"- Sandbox: none, network: the host's ({NO_SANDBOX}" in bare("report", "bare-one").out
    code, state, fix = isolation(bare)
    assert (code, state, "apt install bubblewrap" in fix) == (0, "yellow", True)


def test_the_demo_works_without_isolation_and_says_so(bare: Cli, place: Path) -> None:
    done = bare("demo", "--stop")
    assert done.code == 0, done.out + done.err
    assert "The demo goes on WITHOUT FULL ISOLATION" in done.err
    assert NO_SANDBOX in done.out
