"""The gateway in many places at once: opened in a moment, and nothing left when it is closed."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from activities.claude.listening import MAX_CONNECTIONS
from tests.activities.claude.service import BODY, HEAD, Asked, events, gateway_to, post, service


def listener() -> socket.socket:
    """As a box hands it in: listening already, known by its number alone."""
    made = socket.create_server(("127.0.0.1", 0))
    return socket.socket(fileno=made.detach())


def url(of: socket.socket) -> str:
    return f"http://127.0.0.1:{of.getsockname()[1]}"


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_it_serves_on_a_socket_that_is_handed_in_until_the_context_ends() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        door = listener()
        address = url(door)
        async with gateway.serving(door):
            assert (await post(gateway, held, url=address)).status_code == 200
            assert (await post(gateway, held)).status_code == 200, "its own port serves as before"
        with pytest.raises(OSError):  # noqa: PT011  (refused or reset, as the kernel likes)
            await asyncio.open_connection(*address.removeprefix("http://").split(":"))
        assert held.usage.responses == 2


async def test_many_at_once_and_nothing_is_left_behind() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        await post(gateway, held)
        before, tasks = handles(), asyncio.all_tasks()

        async def used_and_left(door: socket.socket) -> None:
            async with gateway.serving(door):
                assert (await post(gateway, held, url=url(door))).status_code == 200

        await asyncio.gather(*(used_and_left(listener()) for _ in range(30)))
        assert held.usage.responses == 31
        assert asyncio.all_tasks() <= tasks
        assert handles() <= before


async def test_it_opens_and_closes_in_milliseconds() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, _):
        opened, closed = [], []
        for _ in range(20):
            door = listener()
            began = time.perf_counter()
            async with gateway.serving(door):
                opened.append(time.perf_counter() - began)
                began = time.perf_counter()
            closed.append(time.perf_counter() - began)
        assert min(opened) < 0.005
        assert min(closed) < 0.005


async def test_closing_ends_what_is_under_way_and_what_waits_behind_it() -> None:
    async def begins(asked: Asked) -> None:
        await asked.say(HEAD, events()[0])
        await asked.rest()

    async with service(begins) as there, gateway_to(there.url) as (gateway, held):
        door = listener()
        others = asyncio.all_tasks()
        async with gateway.serving(door):
            posts = [asyncio.create_task(post(gateway, held, url=url(door))) for _ in range(3)]
            await there.until(1)
        assert await asyncio.wait(posts, timeout=60) == (set(posts), set())
        assert all(isinstance(p.exception(), Exception) for p in posts), "cut off"
        assert len(there.asked) == 1, "what waited did not go out"
        left = asyncio.all_tasks() - others
        assert not [task for task in left if "run_asgi" in repr(task) or "Exchange" in repr(task)]
        assert held.usage.estimated_usd == held.usage.cost_usd > 0


async def test_connections_are_bounded_and_a_crowd_harms_only_its_own_box() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        crowded, other = listener(), listener()
        async with gateway.serving(crowded), gateway.serving(other):
            before = handles()
            crowd = [await asyncio.open_connection("127.0.0.1", crowded.getsockname()[1]) for _ in range(300)]
            while not crowd[-1][0].at_eof():
                await asyncio.sleep(0.01)
            ours = handles() - before - len(crowd)
            assert ours <= MAX_CONNECTIONS + 16, "those accepted in one go count a little later"
            assert (await post(gateway, held, url=url(other))).status_code == 200
            for _, writer in crowd:
                writer.transport.abort()
        assert (await post(gateway, held)).status_code == 200


async def test_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    """Without TCP_NODELAY the second packet of an answer waits for the client's ACK, which waits 40 ms."""
    async with service() as there, gateway_to(there.url) as (gateway, held):
        # The protocol number 0, as `socket.socket()` has it, is the one that asyncio overlooks.
        door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        door.bind(("127.0.0.1", 0))
        door.listen()
        async with gateway.serving(door), httpx2.AsyncClient(trust_env=False, verify=False) as client:
            for address in (url(door), gateway.url):
                answer = await client.post(f"{address}/v1/messages", json=BODY, headers={"x-api-key": held.token})
                with accepted_from(answer.extensions["network_stream"].get_extra_info("client_addr")) as ours:
                    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def accepted_from(client: tuple[str, int]) -> socket.socket:
    """The gateway's end of a connection."""
    for handle in Path("/proc/self/fd").iterdir():
        if not (handle.is_socket() and handle.exists()):
            continue
        found = socket.socket(fileno=os.dup(int(handle.name)))
        with suppress(OSError):
            if found.getpeername() == client:
                return found
        found.close()
    raise AssertionError(f"nobody accepted {client}")


async def test_a_listener_that_cannot_listen_is_an_error(tmp_path: Path) -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        made = socket.create_connection(("127.0.0.1", int(there.url.rpartition(":")[2])))
        with made, pytest.raises(OSError):  # noqa: PT011
            async with gateway.serving(made):
                pass
        assert (await post(gateway, held)).status_code == 200
