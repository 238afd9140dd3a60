"""When a call may not go on, its next request is refused at once, and what waits is given up."""

from __future__ import annotations

import asyncio
import json
import time

import httpx2
import pytest

from activities.claude.gateway import SETTLE_SECONDS
from tests.activities.claude.service import (
    ANSWER,
    BODY,
    COST,
    ESTIMATE,
    Asked,
    begun,
    connected,
    gateway_to,
    head,
    http,
    lease,
    post,
    service,
    silent,
    status,
)


@pytest.mark.parametrize("reason", ["paused", "cancelled", "lost"])
async def test_a_refusal_comes_at_once_though_another_request_is_under_way(reason: str) -> None:
    async with service(begun) as there, gateway_to(there.url) as (gateway, held):
        under_way = asyncio.create_task(post(gateway, held))
        await there.until(1)
        held.refusal = reason
        async with httpx2.AsyncClient(trust_env=False) as client:
            took = []
            for _ in range(5):
                began = time.monotonic()
                answer = await client.post(f"{gateway.url}/v1/messages", json=BODY, headers={"x-api-key": held.token})
                took.append(time.monotonic() - began)
        assert min(took) < 0.05
        assert (answer.status_code, reason in answer.text) == (403, True)
        assert not under_way.done(), "only the next request is refused"
        under_way.cancel()
        assert len(there.asked) == 1


async def test_a_spent_budget_refuses_at_once_whatever_is_sent() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        held.budget_usd = COST
        assert (await post(gateway, held)).status_code == 200
        took = []
        for _ in range(5):
            reader, writer = await connected(gateway)
            began = time.monotonic()
            # The body never comes: it is not needed to say no.
            writer.write(head(held, "content-length: 30000000"))
            assert await status(reader) == 403
            took.append(time.monotonic() - began)
            writer.close()
        assert min(took) < 0.05
        assert held.refusal == "budget"


async def test_closing_the_lease_gives_up_what_is_under_way_and_what_is_queued() -> None:
    async with service(silent) as there, gateway_to(there.url) as (gateway, _):
        held = lease()
        async with gateway.lease(held):
            posts = [asyncio.create_task(post(gateway, held)) for _ in range(4)]
            await there.until(1)
            while held._open < 4:
                await asyncio.sleep(0.01)
            began = time.monotonic()
        assert time.monotonic() - began < SETTLE_SECONDS, "settled: all are given up"
        assert [answer.status_code for answer in await asyncio.gather(*posts)] == [403] * 4
        assert len(there.asked) == 1
        assert held.usage.responses == 1
        assert held.usage.estimated_usd == pytest.approx(ESTIMATE)


async def test_closing_the_lease_ends_an_answer_that_has_begun() -> None:
    async with service(begun) as there, gateway_to(there.url) as (gateway, _):
        held = lease()
        async with gateway.lease(held):
            reader, writer = await connected(gateway)
            sent = json.dumps(BODY).encode()
            writer.write(head(held, f"content-length: {len(sent)}") + sent)
            await reader.readuntil(b"content_block_delta")
        assert b"message_stop" not in await reader.read(), "it ends without its end"
        writer.close()
        assert held.usage.input_tokens == 1_000
        assert held.usage.estimated_usd == held.usage.cost_usd


async def test_a_queued_request_goes_out_when_its_turn_comes() -> None:
    free = asyncio.Event()

    async def in_time(asked: Asked) -> None:
        await free.wait()
        await asked.say(ANSWER)

    async with service(in_time) as there, gateway_to(there.url) as (gateway, held):
        posts = [asyncio.create_task(post(gateway, held)) for _ in range(3)]
        await there.until(1)
        await asyncio.sleep(0.05)
        assert len(there.asked) == 1
        free.set()
        assert [answer.status_code for answer in await asyncio.gather(*posts)] == [200] * 3
        assert held.usage.cost_usd == pytest.approx(3 * COST)


async def test_the_end_of_an_answer_is_seen_when_it_is_charged() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        for count in range(1, 20):
            await post(gateway, held)
            assert held.usage.cost_usd == pytest.approx(count * COST)


async def test_a_whole_answer_is_metered_too() -> None:
    told = {"type": "message", "model": "claude-sonnet-5", "usage": {"input_tokens": 1_000, "output_tokens": 50}}

    async def whole(asked: Asked) -> None:
        await asked.say(http(json.dumps(told).encode(), kind="application/json"))

    async with service(whole) as there, gateway_to(there.url) as (gateway, held):
        assert (await post(gateway, held, {**BODY, "stream": False})).json() == told
        assert held.usage.cost_usd == pytest.approx((1_000 * 2 + 50 * 10) / 1e6)
        assert held.usage.estimated_usd == 0
