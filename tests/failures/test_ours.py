"""What goes wrong on our side: the session pauses with what happened in words, nothing is lost, and it resumes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from overnight.demo.reply import Text
from tests.failures.conftest import Installation
from tests.failures.misbehaviour import Failing, good, limited
from tests.sessions.conftest import git
from tests.sessions.plays import by_iteration, play
from workflows.contracts.state import Status

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
async def waiting(shop: Installation) -> dict[str, Failing]:
    """Sessions that wait for a usage limit in the middle of their first execute; until they are resumed, no service."""
    far = datetime.now(UTC) + timedelta(hours=1)
    failing = {name: Failing(limited(far)) for name in ("vault", "artifacts", "ruin")}
    for name, scenario in failing.items():
        await shop.start(scenario, session_id=name)
    for name, scenario in failing.items():
        known = await shop.end(name)
        assert known.status is Status.WAITING_LIMIT, known.reason
        scenario.mend()
    return failing


@contextmanager
def broken(place: Path) -> Iterator[None]:
    """A folder is gone, and something else stands in its place."""
    kept = place.rename(place.with_name(f"kept-{place.name}"))
    place.write_text("what a disk leaves\n")
    try:
        yield
    finally:
        place.unlink()
        kept.rename(place)


async def _completes(shop: Installation, session_id: str) -> None:
    before = (await shop.until(session_id, lambda _known: True)).errors
    await shop.resume(session_id)
    done = await shop.until(
        session_id, lambda s: s.status.is_final or (s.status is Status.PAUSED and s.errors > before)
    )
    assert (done.status, done.iteration) == (Status.COMPLETED, 1), done.reason
    assert done.cost_usd == pytest.approx(shop.billed(session_id), abs=1e-6)


async def test_a_vault_that_is_broken(shop: Installation, waiting: dict[str, Failing]) -> None:
    del waiting
    branch = await shop.sessions.branch("vault")
    vault = Path(branch.vault)
    asked = len(shop.asked("vault", "execute"))
    with broken(vault):
        await shop.resume("vault")
        paused = await shop.until("vault", lambda s: s.status is Status.PAUSED)
    assert paused.reason.startswith(("internal: ", "workspace: ")), paused.reason
    assert "resume" in paused.reason
    assert len(shop.asked("vault", "execute")) == asked, "money was spent on work that could not be kept"
    await _completes(shop, "vault")
    assert set(git(vault, "ls-tree", "--name-only", branch.branch).split()) == {"greet.py", "test_greet.py"}


async def test_evidence_that_cannot_be_kept(shop: Installation, waiting: dict[str, Failing]) -> None:
    del waiting
    with broken(shop.settings.home / "artifacts"):
        await shop.resume("artifacts")
        paused = await shop.until("artifacts", lambda s: s.status is Status.PAUSED)
    assert paused.reason.startswith("internal: an unexpected error in Overnight; nothing is lost, resume after a fix (")
    assert paused.phase == "validate"
    await _completes(shop, "artifacts")


async def test_an_unexpected_error_can_be_found_in_temporal(shop: Installation, waiting: dict[str, Failing]) -> None:
    del waiting
    assert any("internal: " in text and "activity " in text for text in await shop.told("artifacts"))


async def test_a_worktree_that_is_a_ruin(shop: Installation, waiting: dict[str, Failing]) -> None:
    """Whatever lies in the session's folder, the vault has all that counts."""
    del waiting
    for path in (shop.settings.home / "sessions" / "ruin" / "shadow.git" / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"rubble")
    await _completes(shop, "ruin")


async def test_claude_code_that_cannot_start(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("activities.claude.runner.claude_binary", lambda _settings: Path("/nowhere/claude"))
        await shop.start(good(), session_id="no-engine")
        paused = await shop.end("no-engine")
    assert paused.status is Status.PAUSED
    assert paused.reason.startswith("engine: Claude Code or the sandbox cannot start on the worker's host; run")
    assert "/nowhere/claude" in paused.reason
    assert paused.cost_usd == 0
    await shop.resume("no-engine")
    done = await shop.until("no-engine", lambda s: s.status.is_final)
    assert done.status is Status.COMPLETED, done.reason


async def test_work_that_is_none_is_judged_by_what_is_there(shop: Installation) -> None:
    """An execute that only says that it is done is no error, and no success."""
    paused = await shop.run(play(by_iteration([Text("Done.")])), session_id="idle", max_iterations=1)
    assert paused.status is Status.PAUSED
    assert paused.reason.startswith("limit: iterations: 1 of 1")
    assert paused.errors == 0
