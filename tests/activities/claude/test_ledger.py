"""What a call uses is on disk before anybody could be killed for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from activities.claude import Ledger, read_ledger
from tests.activities.claude.service import BODY, COST, ESTIMATE, answers, gateway_to, http, post, service, silent
from workflows.contracts.outcome import Usage

EARLIER = Usage(calls=1, responses=3, cost_usd=0.25)


async def test_an_answer_is_on_record_as_soon_as_it_is_there(tmp_path: Path) -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        held.ledger = Ledger(tmp_path / "a" / "1", EARLIER)
        for _ in range(2):
            await post(gateway, held)
        found = read_ledger(tmp_path / "a" / "1")
        assert found is not None
        assert found.cost_usd == pytest.approx(0.25 + 2 * COST)
        assert (found.calls, found.responses, found.estimated_usd) == (2, 5, 0)
        assert held.open_usd == 0


async def test_a_request_without_an_answer_counts_as_an_estimate(tmp_path: Path) -> None:
    async with service(silent) as there, gateway_to(there.url) as (gateway, held):
        held.ledger = Ledger(tmp_path / "1", EARLIER)
        asking = asyncio.create_task(post(gateway, held))
        await there.until(1)
        found = read_ledger(tmp_path / "1")
        assert found is not None
        assert found.estimated_usd == pytest.approx(ESTIMATE) == held.open_usd
        assert found.cost_usd == pytest.approx(0.25 + ESTIMATE)
        asking.cancel()


async def test_what_the_service_refuses_costs_nothing(tmp_path: Path) -> None:
    async def refuses(asked: object) -> None:
        await asked.say(http(b"{}", status=529, kind="application/json"))  # type: ignore[attr-defined]

    async with service(refuses) as there, gateway_to(there.url) as (gateway, held):
        held.ledger = Ledger(tmp_path / "1", Usage())
        await post(gateway, held)
        found = read_ledger(tmp_path / "1")
        assert found is not None
        assert (found.cost_usd, found.responses, held.open_usd) == (0, 0, 0)


def test_one_that_asked_nothing_says_nothing(tmp_path: Path) -> None:
    """Heartbeats then say what earlier attempts used."""
    assert read_ledger(tmp_path / "none") is None
    Ledger(tmp_path / "1", EARLIER)
    assert read_ledger(tmp_path / "1") is None


def test_a_call_that_went_on_counts_once(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "1", EARLIER)
    first.end(first.begin(0.5), Usage(responses=1, cost_usd=1))
    Ledger(tmp_path / "1", Usage(calls=2, responses=4, cost_usd=1.25))
    found = read_ledger(tmp_path / "1")
    assert found is not None
    assert (found.cost_usd, found.calls) == (1.25, 2)


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "1", EARLIER)
    book.end(book.begin(0.5), Usage(responses=1, cost_usd=1))
    with (tmp_path / "1").open("ab") as file:
        file.write(b'[]\n{"n": 2}\nnot json\n{"n": 3, "usage": {"cost_usd": -1}}\n{"n": 4, "open":')
    found = read_ledger(tmp_path / "1")
    assert found is not None
    assert found.cost_usd == 1.25


def test_a_line_that_was_cut_short_takes_none_along(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "1", EARLIER)
    number = book.begin(0.5)
    with (tmp_path / "1").open("ab") as file:
        file.write(b'{"n": 1, "us')
    book.end(number, Usage(responses=1, cost_usd=1))
    found = read_ledger(tmp_path / "1")
    assert found is not None
    assert (found.cost_usd, found.responses, found.estimated_usd) == (1.25, 4, 0)


@pytest.mark.parametrize("garbage", [b"[" * 200_000, b'{"n": 1e999, "open": 1}', b'{"n": 9, "open": NaN}'])
def test_garbage_of_any_kind_is_left_out(tmp_path: Path, garbage: bytes) -> None:
    book = Ledger(tmp_path / "1", EARLIER)
    with (tmp_path / "1").open("ab") as file:
        file.write(garbage + b"\n")
    book.end(book.begin(0.5), Usage(responses=1, cost_usd=1))
    found = read_ledger(tmp_path / "1")
    assert found is not None
    assert found.cost_usd == 1.25


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    book = Ledger(tmp_path / "file" / "1", EARLIER)
    book.end(book.begin(0.5), Usage())
    assert book.open_usd == 0


async def test_spent_tokens_refuse_the_next_request() -> None:
    async with service(answers) as there, gateway_to(there.url) as (gateway, held):
        held.budget_tokens = 1_050
        assert (await post(gateway, held, BODY)).status_code == 200
        refused = await post(gateway, held, BODY)
        assert (refused.status_code, held.refusal) == (403, "budget")
        assert len(there.asked) == 1
