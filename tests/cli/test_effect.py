"""What the answer to a message says, by the state that the session is in."""

from __future__ import annotations

from typing import Any

import pytest

from overnight import effect
from tests.cli.test_readiness import Known
from tests.cli.test_views import status
from workflows.contracts.messages import RaiseLimits
from workflows.contracts.state import Status
from workflows.contracts.status import SessionStatus

RUNNING = status()
JUDGING = status(phase="judge")
PAUSED = status(status=Status.PAUSED, reason="paused by a person")
LIMITED = status(status=Status.PAUSED, reason="limit: cost: $1 of $1 spent")
WAITING = status(status=Status.WAITING_LIMIT)
OFFLINE = status(worker="offline")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (effect.of_pause(RUNNING, "turn"), "when its running turn has ended"),
        (effect.of_pause(RUNNING, "now"), "interrupts its running turn"),
        (effect.of_pause(PAUSED, "now"), "paused already"),
        (effect.of_pause(WAITING, "turn"), "does not go on by itself any more"),
        (effect.of_pause(status(status=Status.WAITING_APPROVAL), "now"), "It pauses at once, since it only waits"),
        (effect.of_resume(PAUSED), "It goes on."),
        (effect.of_resume(WAITING), "tries at once"),
        (effect.of_resume(RUNNING), "nothing to resume"),
        (effect.of_steer(RUNNING, "now"), "the running turn is interrupted"),
        (effect.of_steer(JUDGING, "now"), "no turn that could take it runs now (judge)"),
        (effect.of_steer(RUNNING, "next_step"), "with its next step."),
        (effect.of_steer(PAUSED, "now"), "goes on when it is resumed"),
        (effect.of_steer(LIMITED, "now"), "goes on when that limit is raised"),
        (effect.of_steer(WAITING, "now"), "after the wait"),
        (effect.not_taken("x", "busy", "--address a"), "`temporal workflow terminate --workflow-id x --address a`"),
        (effect.not_taken("x", "busy", None), "(busy). If that stays so, the person who runs this server can end it"),
        (effect.of_cancel(status(committed=True)), "its work stays on the branch"),
        (effect.of_cancel(RUNNING), "what its running turn did so far"),
        (effect.of_cancel(WAITING), "nothing was committed"),
        *((said, "when one is back") for said in (effect.of_pause(OFFLINE, "now"), effect.of_resume(OFFLINE))),
        *((said, "when one is back") for said in (effect.of_steer(OFFLINE, "now"), effect.of_cancel(OFFLINE))),
    ],
)
def test_a_message_s_effect_is_that_on_the_state_it_finds(told: str, words: str) -> None:
    assert words in told


class Raised(Known):
    """Sessions of one whose update answers with the state from before, as Temporal delivers it."""

    def __init__(self, *then: SessionStatus) -> None:
        super().__init__()
        self._ui_url = "http://ui"
        self._then = list(then)
        self._exchange: Any = self

    async def describe(self, session_id: str) -> None:
        assert session_id == "some-id"

    def handle(self, session_id: str) -> Any:
        return self

    async def update(self, *_: Any, **__: Any) -> SessionStatus:
        return LIMITED

    async def status(self, session_id: str) -> SessionStatus:
        return self._linked(self._then.pop(0) if len(self._then) > 1 else self._then[0])


async def test_new_limits_are_answered_with_the_state_that_they_led_to(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Raised(LIMITED, RUNNING)
    sessions._client = type("Client", (), {"namespace": "default"})()
    known = await sessions.raise_limits("some-id", RaiseLimits(max_cost_usd=2))
    assert known.status is Status.RUNNING
    assert known.monitor_url == "http://ui/namespaces/default/workflows/some-id"
    monkeypatch.setattr("overnight.client.SETTLED_SECONDS", 0.1)
    still = Raised(LIMITED)
    still._client = sessions._client
    assert (await still.raise_limits("some-id", RaiseLimits(max_cost_usd=2))).status is Status.PAUSED
