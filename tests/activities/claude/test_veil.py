"""The credential in a service's answer: taken out wherever it lies, and nothing else is touched or held up."""

from __future__ import annotations

import json

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.claude.veil import PLACEHOLDER, Veil
from tests.activities.claude.service import BODY, HEAD, SECRET, Asked, events, gateway_to, http, post, service


def through(veil: Veil, pieces: list[bytes]) -> bytes:
    return b"".join([*(veil.show(piece) for piece in pieces), veil.rest()])


@given(st.lists(st.sampled_from([b"abab", b"abac", b"a", b"b", b"c", b"abacX", b"ab", b"-"]), max_size=12), st.data())
def test_however_it_is_cut_the_secret_is_not_there_and_the_rest_is(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    shown = through(Veil(["abacX", "bacab"]), pieces)
    assert b"abacX" not in shown
    assert b"bacab" not in shown
    if b"abacX" not in whole and b"bacab" not in whole:
        assert shown == whole


def test_without_a_beginning_of_a_secret_nothing_waits() -> None:
    veil = Veil([SECRET])
    assert veil.show(b"some words") == b"some words"
    assert veil.show(b"the-sec") == b""
    assert veil.show(b"ond") == b"the-second"
    assert veil.show(b"the-") + veil.rest() == b"the-"


@pytest.mark.parametrize("cut", [0, 4, len(SECRET)])
async def test_a_service_that_quotes_the_credential_does_not_give_it_to_the_agent(cut: int) -> None:
    told = b"".join(events(text=f"your key is {SECRET}, is it not"))
    at = told.index(SECRET.encode()) + cut

    async def quotes(asked: Asked) -> None:
        await asked.say(HEAD, told[:at])
        await asked.say(told[at:])
        asked.writer.close()

    async with service(quotes) as there, gateway_to(there.url) as (gateway, held):
        answer = await post(gateway, held)
        assert answer.content == told.replace(SECRET.encode(), PLACEHOLDER)
        assert held.usage.estimated_usd == 0, "it was metered to its end"


async def test_neither_in_a_header_nor_in_a_whole_answer() -> None:
    told = json.dumps({"type": "message", "model": "m", "usage": {}, "said": SECRET}).encode()

    async def quotes(asked: Asked) -> None:
        await asked.say(http(told, kind="application/json", request_id=f"x-{SECRET}", anthropic_note="fine"))

    async with service(quotes) as there, gateway_to(there.url) as (gateway, held):
        answer: httpx2.Response = await post(gateway, held, {**BODY, "stream": False})
        assert SECRET not in answer.text + str(answer.headers)
        assert answer.headers["anthropic-note"] == "fine"
        assert answer.json()["said"] == PLACEHOLDER.decode()
