"""Names that lead where they should not: mixed answers, answers that change, redirects."""

from __future__ import annotations

import asyncio
import socket

import pytest

from activities.sandbox.egress import Blocked, EgressRules
from tests.activities.sandbox.egress.support import (
    OTHER_IP,
    PUBLIC_IP,
    PUBLIC_IP6,
    Site,
    World,
    ask,
    connect_to,
    echo,
    get,
    served,
    server,
    tunnel_to,
)


@pytest.mark.parametrize("kind", [connect_to, lambda target: get(f"http://{target}/")])
@pytest.mark.parametrize(
    "answer",
    [
        [PUBLIC_IP, "127.0.0.1"],
        ["127.0.0.1", PUBLIC_IP],
        [PUBLIC_IP, PUBLIC_IP6, "::1"],
        [PUBLIC_IP, "::ffff:127.0.0.1"],
        ["10.0.0.1"],
        [PUBLIC_IP, "fe80::1%eth0"],
    ],
)
async def test_one_bad_address_spoils_all(answer: list[str], kind: object) -> None:
    world = World(names={"mixed.example": [answer]})
    egress = world.egress()
    assert callable(kind)
    async with served(egress) as port:
        assert (await ask(port, kind("mixed.example:80"))).status == 403
    assert world.dialled == []
    assert [b.target for b in egress.blocked] == ["mixed.example:80"]


@pytest.mark.parametrize("rules", [EgressRules("public"), EgressRules("allow-list", ("turn.example",))])
async def test_an_answer_that_changes_is_looked_at_once(rules: EgressRules) -> None:
    """The connection goes to the very address that was judged; the next one is judged anew."""
    world = World(names={"turn.example": [[PUBLIC_IP], ["127.0.0.1"]]})
    async with server(echo) as there:
        world.places[PUBLIC_IP, 443] = there
        egress = world.egress(rules)
        async with served(egress) as port:
            async with tunnel_to(port, "turn.example:443") as (reader, writer):
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
            assert (world.looked_up, world.dialled) == (["turn.example"], [(PUBLIC_IP, 443)])
            assert (await ask(port, connect_to("turn.example:443"))).status == 403
    assert world.dialled == [(PUBLIC_IP, 443)]
    assert egress.blocked == [Blocked("turn.example:443", "a loopback address", 1)]


async def test_each_request_of_one_connection_is_judged() -> None:
    world, site = World(names={"turn.example": [[PUBLIC_IP], ["127.0.0.1"]]}), Site()
    async with server(site) as there:
        world.places[PUBLIC_IP, 80] = there
        async with served(world.egress()) as port:
            one = b"GET http://turn.example/ HTTP/1.1\r\nHost: x\r\n\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(one + one)
            said = await reader.read()
            writer.close()
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 403 " in said
    assert len(site.asked) == 1


async def test_a_redirect_is_just_another_request() -> None:
    world = World()
    site = Site(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n")
    async with server(site) as there:
        world.put("site.example", 80, there)
        egress = world.egress()
        async with served(egress) as port:
            import httpx2

            async with httpx2.AsyncClient(
                proxy=f"http://127.0.0.1:{port}", follow_redirects=True, trust_env=False
            ) as client:
                answer = await client.get("http://site.example/")
    assert [step.status_code for step in answer.history] == [302]
    assert answer.status_code == 403
    assert answer.headers["x-overnight-blocked"] == "a cloud metadata address"
    assert world.dialled == [(PUBLIC_IP, 80)]


async def test_an_answer_without_end_is_cut() -> None:
    many = [f"93.184.{n // 250}.{n % 250 + 1}" for n in range(2_000)]
    world = World(names={"many.example": [many], "trick.example": [[*many, "127.0.0.1"]]})
    async with served(world.egress()) as port:
        for name in ("many.example", "trick.example"):
            assert (await ask(port, connect_to(f"{name}:443"))).status == 502
    assert world.dialled == [(address, 443) for address in many[:6]] * 2


async def test_the_next_address_is_tried() -> None:
    world = World(names={"two.example": [[PUBLIC_IP6, PUBLIC_IP, OTHER_IP]]})
    async with server(echo) as there:
        world.places[OTHER_IP, 443] = there
        async with served(world.egress()) as port, tunnel_to(port, "two.example:443") as (reader, writer):
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
    assert world.dialled == [(PUBLIC_IP6, 443), (PUBLIC_IP, 443), (OTHER_IP, 443)]


async def test_an_exception_leads_to_a_private_host() -> None:
    world = World()
    rules = EgressRules("public", exceptions=("index.corp:3141",))
    async with server(echo) as there:
        world.put("index.corp", 3141, there, "10.0.0.5")
        world.put("index.corp", 80, there, "10.0.0.5")
        async with served(world.egress(rules)) as port:
            async with tunnel_to(port, "index.corp:3141") as (reader, writer):
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
            assert (await ask(port, connect_to("index.corp:80"))).status == 403


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", socket.gethostname()])
async def test_the_systems_own_answers_are_judged(name: str) -> None:
    """With the real resolver; none of these needs a network."""
    from activities.sandbox.egress import Egress

    egress = Egress(EgressRules("public"))
    async with served(egress) as port, server(echo) as there:
        answer = await ask(port, connect_to(f"{name}:{there}"))
    assert answer.status in ({403} if name.lower().startswith("localhost") else {403, 502})
