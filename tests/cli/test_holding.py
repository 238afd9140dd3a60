"""What keeps a worker from being of use to others, or to this shell: said with what to do about it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from overnight.base.settings import Settings
from overnight.changes import Changes
from overnight.cli import inspection
from overnight.cli.stack import credential_words
from overnight.client import Sessions
from overnight.errors import UnreachableError
from overnight.stack import Stack
from tests.cli.support import clean_environment
from tests.cli.test_readiness import Known, worker
from tests.cli.test_views import COMMIT, status
from workflows.contracts.reads import BranchAnswer
from workflows.contracts.spec import Models, Project, SessionSpec

RENEW = "overnight down && overnight up"


@pytest.fixture(params=["key", ""], ids=["with a key", "without one"])
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The credential of this shell."""
    given = {"ANTHROPIC_API_KEY": request.param} if request.param else {}
    monkeypatch.setattr("os.environ", clean_environment(tmp_path, HOME=str(tmp_path), **given))
    return str(request.param)


def test_a_stack_without_a_credential_is_told_where_one_is(key: str, tmp_path: Path) -> None:
    known = Stack(home=tmp_path, version="1", supervisor=None, address="a", ui_url="u", started_at=datetime.now(UTC))
    said = credential_words(known)
    assert "without a credential" in said
    assert (
        f"this shell has one (api_key from ANTHROPIC_API_KEY), so start it again from here: {RENEW}" in said
    ) is bool(key)


def test_doctor_on_a_worker_without_a_credential(key: str) -> None:
    found = inspection._holding(worker(credential_kind=None), "1 on h (pid 1)")
    assert found.state == "red"
    assert RENEW in found.fix
    assert ("this shell has one (api_key from ANTHROPIC_API_KEY)" in found.fix) is bool(key)


def test_doctor_on_the_vault_of_a_worker_elsewhere() -> None:
    (found,) = inspection._vault(worker(settings={"vault_url": ""}))
    assert (found.state, "OVERNIGHT_VAULT_URL" in found.fix) == ("yellow", True)
    assert inspection._vault(worker(settings={"vault_url": "ssh://git@x/vaults"})) == []
    assert inspection._vault(worker()) == [], "an older worker tells nothing"


class Elsewhere(Known):
    """Sessions whose worker's vault has nothing of them."""

    def __init__(self, **known: Any) -> None:
        super().__init__(status=status(**known))
        itself: Any = self
        self.changes = Changes(itself)

    async def spec(self, session_id: str) -> SessionSpec:
        models = Models(plan="m", execute="m", judge="m", diagnose="m", reflect="m")
        return SessionSpec(session_id=session_id, goal="g", project=Project(key="k", commit=COMMIT), models=models)

    async def read(self, name: str, *_: Any, **__: Any) -> BranchAnswer:
        assert name == "read_branch"
        return BranchAnswer(vault="/home/of/another/vault/k.git", branch="overnight/some-id")


@pytest.mark.parametrize("ask", [Sessions.diff, Sessions.branch], ids=["diff", "checkout"])
async def test_work_that_another_host_holds_is_told_as_such(ask: Any) -> None:
    with pytest.raises(UnreachableError, match=r"another host holds it.*OVERNIGHT_VAULT_URL"):
        await ask(Elsewhere(committed=True, commit="b" * 40), "some-id")
    early = await ask(Elsewhere(committed=False, commit=COMMIT), "some-id")
    assert not getattr(early, "commits", None)
    assert not getattr(early, "files", None)


async def test_doctor_on_a_database_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", clean_environment(tmp_path, PATH=os.environ["PATH"]))
    database = tmp_path / "temporal.db"
    states = []
    for content in (b"SQLite format 3\0 and pages", b"", b"something else altogether"):
        database.write_bytes(content)
        found = (await inspection.engine(Settings(home=tmp_path))).findings[-1]
        states.append((found.name, found.state))
    assert states == [("stack", "yellow"), ("stack", "yellow"), ("stack", "red")]
    assert f"Move {database} away (keep it" in found.fix
