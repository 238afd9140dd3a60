"""validate: what its evidence says beside an exit code, what is counted, and what it leaves behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import ActivityEnvironment

from activities.claude import Gateway
from activities.host import Host
from activities.sandbox import Launcher, find_isolation
from activities.validate import Validate
from activities.validation.observe import with_blocked
from overnight.base.settings import Settings
from tests.activities.workspace.support import commit_all, git, make_repo, write
from workflows.contracts.evidence import CommandEvidence
from workflows.contracts.outcome import MAX_OBSERVED, Outcome
from workflows.contracts.requests import Check, Site, ValidateRequest, ValidateResult
from workflows.contracts.spec import Project

CONNECT = """
import sys, urllib.request
for address in sys.argv[1:]:
    try:
        urllib.request.urlopen(f"http://{address}/", timeout=5).read()
    except OSError as error:
        print(error)
"""


@pytest_asyncio.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    settings = Settings(home=tmp_path / "home")
    async with Gateway(lambda: None).running() as gateway:
        yield Host.of(settings, gateway, Launcher(settings, find_isolation()))


async def validated(
    host: Host,
    *commands: str,
    project: Project | None = None,
    setup: str | None = None,
    passes: int = 1,
    quick_passes: int = 1,
    quick_seconds: float = 60,
) -> ValidateResult:
    """The checks on the project's own commit."""
    site = Site(session_id="a-session", project=project or Project(key="a-project"), iteration=1)
    checks = [Check(criterion=f"c{number}", command=command) for number, command in enumerate(commands)]
    request = ValidateRequest(
        site=site, checks=checks, seconds=300, passes=passes, quick_passes=quick_passes, quick_seconds=quick_seconds
    )
    return await ActivityEnvironment().run(Validate(host).run, request)


def connecting(*addresses: str) -> str:
    return f"python3 - {' '.join(addresses)} <<'E'\n{CONNECT}\nE"


async def test_a_check_that_passed_without_its_network_says_so(host: Host) -> None:
    found = await validated(
        host, connecting("10.0.0.1:81", "10.0.0.1:81", "192.168.7.7"), "echo ok", f"seq 1000; {connecting('10.0.0.2')}"
    )
    assert found.outcome is Outcome.COMPLETED
    several, none, one = found.evidence
    assert (several.exit_code, none.exit_code, one.exit_code) == (0, 0, 0)
    assert several.tail.endswith("[Overnight: 3 connections were blocked: 10.0.0.1:81, 192.168.7.7:80]")
    assert none.tail == "ok"
    assert one.tail.endswith("[Overnight: 1 connection was blocked: 10.0.0.2:80]")
    assert "1000" in one.tail, "what it printed is still there"
    assert several.log is not None
    assert "network: blocked 10.0.0.1:81" in host.artifacts.text(several.log, head=10_000, tail=0)


def test_many_destinations_leave_room_for_what_was_printed() -> None:
    notes = [f"network: blocked host-{n}.{'x' * 100}:443 (2 times): no" for n in range(40)] + ["memory: too much"]
    log = "\n".join(f"[Overnight: {note}]" for note in notes)
    tail = with_blocked(f"printed\n{log}", notes)
    assert tail.startswith("printed\n[Overnight: memory: too much]\n[Overnight: 80 connections were blocked: host-0.")
    assert len(tail) < 300
    assert CommandEvidence(criterion="c", commit="a" * 40, tail=tail).tail == tail


async def test_what_was_observed_is_counted_in_full(host: Host) -> None:
    addresses = [f"10.0.0.{number}" for number in range(1, 26)]
    found = await validated(host, connecting(*addresses))
    assert len(found.notes) == MAX_OBSERVED
    assert found.more_notes == 15


async def test_a_failure_is_recognised_wherever_in_a_long_output_it_stands(host: Host) -> None:
    fails = "python3 -c \"{}raise KeyError('price')\""
    found = await validated(
        host,
        fails.format(""),
        f"seq 30000; {fails.format('pass;')}; s=$?; sleep 0.01; date +%N; exit $s",
        "python3 -c \"raise KeyError('name')\"",
        "true",
    )
    one, again, other, passed = (e.fingerprint for e in found.evidence)
    assert one is not None
    assert one == again
    assert other is not None
    assert (one.exact != other.exact, one.template, one.kind) == (True, other.template, "v1:class:KeyError")
    assert passed is None


@pytest.mark.parametrize(
    ("asked", "quick_s", "runs"),
    [((1, 1), 60, 1), ((3, 1), 60, 3), ((1, 2), 60, 2), ((3, 2), 0, 3), ((1, 2), 0, 1)],
)
async def test_a_command_runs_as_often_as_it_is_to_hold(
    host: Host, asked: tuple[int, int], quick_s: float, runs: int
) -> None:
    found = await validated(
        host,
        "echo >> ran && test $(wc -l < ran) -le 3",
        "echo >> fell; exit 3",
        passes=asked[0],
        quick_passes=asked[1],
        quick_seconds=quick_s,
    )
    tree = host.folder("a-session") / "tree"
    assert (tree / "ran").read_text().count("\n") == runs
    assert (tree / "fell").read_text().count("\n") == 1, "what fails is not run again"
    assert [e.exit_code for e in found.evidence] == [0, 3]


async def test_what_holds_by_luck_does_not_hold(host: Host) -> None:
    found = await validated(host, "echo x >> ran; echo said; test $(wc -l < ran) -ne 2", passes=4)
    (evidence,) = found.evidence
    assert (evidence.exit_code, evidence.rate) == (1, 0)
    assert evidence.tail == "It held, and then did not, on the same files: run 2 in a row.\nsaid"
    assert found.notes == ["c0: It held, and then did not, on the same files: run 2 in a row."]


async def test_no_file_stays_setuid(host: Host, tmp_path: Path) -> None:
    await validated(host, "cp /bin/true mine && chmod 6755 mine && test -u mine")
    mine = tmp_path / "home" / "sessions" / "a-session" / "tree" / "mine"
    assert mine.stat().st_mode & 0o7777 == 0o755


async def test_a_build_stays_incremental_and_a_check_cannot_change_what_the_next_one_sees(
    host: Host, tmp_path: Path
) -> None:
    commit = make_repo(tmp_path / "project", {"src.c": "int x;\n", "Makefile": "out: src.c\n\tcp src.c out\n"})
    project = Project(key="a-project", kind="path", location=str(tmp_path / "project"), commit=commit)
    found = await validated(
        host, "make", "sleep 1.1; make -q", "echo 'int y;' > src.c", "grep -q x src.c && ! make -q", project=project
    )
    assert [e.exit_code for e in found.evidence] == [0] * 4


async def test_a_linked_worktree_hides_the_repository_it_belongs_to(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    make_repo(shown / "main", {"a": "1"})
    git("worktree", "add", "-q", "-b", "side", tmp_path / "side", cwd=shown / "main")
    write(tmp_path / "side", {"b": "1"})
    commit = commit_all(tmp_path / "side", "More")
    settings = Settings(home=tmp_path / "home", sandbox_readable=[shown])
    async with Gateway(lambda: None).running() as gateway:
        host = Host.of(settings, gateway, Launcher(settings, find_isolation()))
        project = Project(key="a-project", kind="path", location=str(tmp_path / "side"), commit=commit)
        found = await validated(host, f"ls {shown}/main/a && ! ls {shown}/main/.git/HEAD", project=project)
    assert found.evidence[0].exit_code == 0, found.evidence[0].tail
