"""A worker that says that it is ready is known to Temporal: whoever asks it at once gets an answer."""

from __future__ import annotations

from contextlib import AsyncExitStack

from activities.announce import until_polling
from tests.sessions.conftest import Shop
from worker import workers


async def test_ready_means_that_all_its_queues_are_polled(shop: Shop) -> None:
    client = shop.env.client
    serving = workers(client, shop.host, shop.settings, "polled-or-not")
    assert not await until_polling(client, serving, seconds=0.1)
    async with AsyncExitStack() as stack:
        for worker in serving[:-1]:
            await stack.enter_async_context(worker)
        assert await until_polling(client, serving[:-1])
        assert not await until_polling(client, serving, seconds=0.1)
        await stack.enter_async_context(serving[-1])
        assert await until_polling(client, serving)
