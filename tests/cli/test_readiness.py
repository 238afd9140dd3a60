"""What a worker would refuse is refused before anything starts, with what to do about it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from overnight.base import chosen
from overnight.base.credentials import Credential
from overnight.base.redaction import Redactor, known_secrets
from overnight.base.redaction.walk import redacted
from overnight.base.settings import Settings
from overnight.client import Sessions
from overnight.errors import InvalidRequestError, NotReadyError, SessionError
from overnight.mcp import answers
from overnight.reach import EVERYTHING, Reach
from overnight.request import NewSession
from tests.planted import planted, value_of
from workflows.contracts.messages import RaiseLimits
from workflows.contracts.reads import HostAnswer, ProjectAnswer
from workflows.contracts.spec import Project
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus


class Untouched:
    """A connection that must not be used."""

    namespace = "default"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was used")


class Known(Sessions):
    """Sessions of a worker, or of a session, that says this of itself."""

    def __init__(
        self,
        host: HostAnswer | None = None,
        status: SessionStatus | None = None,
        reach: Reach = EVERYTHING,
        **settings: Any,
    ) -> None:
        client: Any = Untouched()
        super().__init__(client, Settings(**settings), ui_url=None, reach=reach)
        self._host, self._status = host, status

    async def host(self) -> HostAnswer:
        assert self._host is not None
        return self._host

    async def status(self, session_id: str) -> SessionStatus:
        assert self._status is not None
        return self._status


def worker(**given: Any) -> HostAnswer:
    usual = {
        "isolation": "bubblewrap",
        "isolation_full": True,
        "credential_kind": "api_key",
        "egress_at_most": "public",
    }
    return HostAnswer.model_validate({"version": "1", "host": "h", "pid": 1, **usual, **given})


PARTIAL = {
    "isolation": "bubblewrap without a network of its own",
    "isolation_problem": "EPERM",
    "isolation_full": False,
}
NOTHING = {"isolation": "none", "isolation_problem": "bubblewrap is not installed", "isolation_full": False}


@pytest.mark.parametrize("given", [PARTIAL, NOTHING], ids=["partial", "none"])
async def test_less_than_full_isolation_needs_an_opt_in(given: dict[str, Any]) -> None:
    with pytest.raises(NotReadyError) as refused:
        await Known(worker(**given)).start(NewSession.parse(goal="x"))
    assert f"cannot isolate what the agent runs ({given['isolation_problem']})" in str(refused.value)
    assert "OVERNIGHT_ALLOW_UNSANDBOXED=1" in str(refused.value)
    accepted = worker(**given, unsandboxed_allowed=True)
    assert await Known(accepted).check_ready(None, "public") == accepted


@pytest.mark.parametrize(
    ("at_most", "asked"),
    [
        ("public", {"egress": "host"}),
        ("allow-list", {"egress": "public"}),
        ("allow-list", {}),
        ("none", {"allow_hosts": ["pkgs.dev"]}),
    ],
)
async def test_more_network_than_the_worker_allows_is_refused(at_most: str, asked: dict[str, Any]) -> None:
    sessions = Known(worker(egress_at_most=at_most))
    request = NewSession.parse(goal="x", **asked)
    wanted = request.network(Settings()).mode
    with pytest.raises(InvalidRequestError) as refused:
        await sessions.start(request)
    said = str(refused.value)
    assert said.startswith(
        f"egress: the worker allows no more network than '{at_most}', and the session wants '{wanted}'"
    )
    assert f"OVERNIGHT_EGRESS_AT_MOST={wanted}" in said
    assert ("through Temporal every session" in said) is (wanted == "host")


@pytest.mark.parametrize(
    ("setting", "asked", "mode", "allow"),
    [
        ("public", {}, "public", []),
        ("none", {}, "none", []),
        ("none", {"egress": "public"}, "public", []),
        ("public", {"allow_hosts": ["pkgs.dev"]}, "allow-list", ["pkgs.dev"]),
        ("allow-list", {"allow_hosts": ["pkgs.dev"]}, "allow-list", ["pkgs.dev"]),
        ("none", {"egress": "allow-list", "allow_hosts": [" pkgs.dev "]}, "allow-list", ["pkgs.dev"]),
    ],
)
def test_the_network_that_a_session_gets(setting: Any, asked: dict[str, Any], mode: str, allow: list[str]) -> None:
    network = NewSession.parse(goal="x", **asked).network(Settings(egress=setting))
    assert (network.mode, network.allow) == (mode, allow)


def session(**given: Any) -> SessionStatus:
    usual = {"session_id": "some-id", "status": Status.RUNNING, "phase": "execute", "goal": "g"}
    spent = {"cost_usd": 2.5, "iteration": 4, "elapsed_minutes": 30.5}
    return SessionStatus.model_validate({**usual, **spent, **given})


@pytest.mark.parametrize("wanted", [{"max_cost_usd": 2.5}, {"max_iterations": 4}, {"max_time_minutes": 31}])
async def test_limits_that_are_not_spent_go_on_their_way(wanted: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="was used"):
        await Known(status=session()).raise_limits("some-id", RaiseLimits(**wanted))
    with pytest.raises((AssertionError, SessionError), match="was used"):
        await Known(status=session(status=Status.COMPLETED)).raise_limits("some-id", RaiseLimits(max_iterations=1))


@pytest.mark.parametrize("kind", ["api_key", "auth_token", "oauth_token", "claude_login"])
async def test_the_worker_s_word_on_its_credential_survives_redaction(kind: Any) -> None:
    mine, other = (Credential(kind=kind, secret=SecretStr(s), source="S", upstream="https://u") for s in ("a", "b"))
    told = worker(credential_kind=kind, credential_source="S", fingerprint=mine.fingerprint.partition(":")[2])
    heard = redacted(told, Redactor.of(known_secrets({"ANTHROPIC_API_KEY": "a-long-secret-of-mine"})))
    assert heard.credential == mine.fingerprint
    assert await Known(heard).check_ready(mine, "public") == heard
    with pytest.raises(NotReadyError, match=f"holds another credential, or one for another address .{kind} from S"):
        await Known(heard).check_ready(other, "public")


@pytest.mark.parametrize("kind", ["github classic", "anthropic", "aws id", "url password", "private key"])
def test_words_that_hold_a_secret_are_refused(kind: str) -> None:
    """Temporal's history keeps what a session is told."""
    text = f"Write the client.\nUse {planted(3)[kind]} for it."
    with pytest.raises(InvalidRequestError, match=r"goal: line 2 holds what looks like a secret") as refused:
        NewSession.parse(goal=text)
    assert value_of(kind, 3) not in str(refused.value)
    with pytest.raises(InvalidRequestError, match=r"success_criteria\.0"):
        NewSession.parse(goal="x", success_criteria=[planted(3)["gitlab"]])


def test_a_password_in_the_projects_url_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match=r"project: .*url-credentials"):
        NewSession.parse(goal="x", project=f"https://ada:{value_of('url password', 3)}@git.example.com/shop.git")


class Startable(Known):
    """Sessions on a connection that takes whatever is started."""

    def __init__(self, host: HostAnswer, **settings: Any) -> None:
        super().__init__(host, **settings)
        self._client: Any = Taking()

    async def inspect(self, project: str | None, ref: str | None = None) -> ProjectAnswer:
        return ProjectAnswer(project=Project(kind="new", key="k"))


class Taking:
    """A connection on which a session can be started."""

    namespace = "default"

    async def start_workflow(self, *_: Any, **__: Any) -> None:
        """Nothing is started."""


async def test_what_the_caller_chose_and_will_not_get_is_told_with_the_session() -> None:
    running = chosen.told(Settings(egress_exceptions=["10.0.0.0/8"]))
    request = NewSession.parse(goal="x", allow_hosts=["pkgs.dev", "10.1.2.3", "192.168.0.1"])
    began = await Startable(worker(settings=running), egress_at_most="host").start(request)
    ignored, unreached = began.notes
    assert ignored.startswith("OVERNIGHT_EGRESS_AT_MOST=host does nothing here: the running worker was started with")
    assert unreached.startswith("allow_hosts: 192.168.0.1 is a private address")
    assert "OVERNIGHT_EGRESS_EXCEPTIONS=192.168.0.1" in unreached
    assert unreached in answers.started(began, "").notice
    afar = await Startable(worker(settings=running), reach=Reach("ada"), egress_at_most="host").start(request)
    assert afar.notes == [unreached], "this machine's settings are for those who are at it"
    same = await Startable(worker(settings=chosen.told(Settings()))).start(NewSession.parse(goal="x"))
    assert same.notes == []
