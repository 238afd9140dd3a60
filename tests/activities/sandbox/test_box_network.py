"""The network of a box: its own loopback, and the proxy as the one way out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from activities.sandbox import Box, EgressRules, NotIsolatedError
from tests.activities.sandbox.conftest import Bench

EVERYWHERE = "0.0.0.0"  # noqa: S104 (as a careless server does)
KNOCK = "timeout 3 bash -c 'exec 3<>/dev/tcp/{}/{} && printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3 && cat <&3'"


@asynccontextmanager
async def listening(host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server on the host, as Temporal is one."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Closed with something unread, the connection would be reset.
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nthe engine")
        writer.close()

    server = await asyncio.start_server(greet, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "127.8.8.8", "::1", EVERYWHERE])
async def test_a_port_of_the_host_is_not_there(bench: Bench, address: str) -> None:
    async with listening("::1" if address == "::1" else EVERYWHERE) as port:
        ended, said = await bench.run(KNOCK.format(address, port))
    assert ended.exit_code != 0
    assert "engine" not in said


async def test_the_hosts_own_address_is_not_there(bench: Bench) -> None:
    own = socket.gethostbyname(socket.gethostname())
    async with listening(EVERYWHERE) as port:
        ended, said = await bench.run(KNOCK.format(own, port))
    assert ended.exit_code != 0
    assert "engine" not in said


@pytest.mark.parametrize("kind", ["abstract", "path"])
async def test_unix_sockets_of_the_host_are_not_there(bench: Bench, tmp_path: Path, kind: str) -> None:
    name = "\0overnight-test" if kind == "abstract" else str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen(1)
        ended, said = await bench.run(f'python3 -c "import socket; socket.socket(socket.AF_UNIX).connect({name!r})"')
    assert ended.exit_code != 0
    assert "Error" in said


async def test_only_loopback_is_there(bench: Bench) -> None:
    _, said = await bench.run("tail -n +3 /proc/net/dev | cut -d: -f1; cat /proc/net/route | tail -n +2")
    assert said.split() == ["lo"]


async def test_a_server_of_its_own_works(bench: Bench) -> None:
    ended, said = await bench.run(
        "python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 & for i in 1 2 3 4 5 6 7 8 9; do"
        " sleep 0.3; curl -sf -o /dev/null http://localhost:8000/ && exit 0; done; exit 1"
    )
    assert ended.exit_code == 0, said


@pytest.mark.parametrize(
    "family", ["AF_VSOCK", "AF_PACKET", "AF_ALG"], ids=["hypervisor", "raw packets", "kernel crypto"]
)
async def test_other_families_of_sockets_are_refused(bench: Bench, family: str) -> None:
    ended, said = await bench.run(f"python3 -c 'import socket; socket.socket(socket.{family}, socket.SOCK_STREAM)'")
    assert ended.exit_code != 0
    assert "PermissionError" in said


async def test_the_proxy_refuses_the_host_and_says_so(bench: Bench) -> None:
    async with listening() as port:
        ended, said = await bench.run(
            f"curl -sS --noproxy '' http://127.0.0.1:{port}/; curl -sS --noproxy '' http://169.254.169.254/latest/"
        )
    assert "the engine" not in said
    assert said.lower().count("blocked") >= 2
    assert any(f"127.0.0.1:{port}" in note for note in ended.notes)
    assert any("169.254.169.254" in note and "metadata" in note for note in ended.notes)


async def test_an_exception_of_the_installation_is_reached(bench: Bench) -> None:
    """A company's package index in its own network; here: a server on loopback."""
    async with listening() as port:
        rules = EgressRules("public", exceptions=(f"127.0.0.1:{port}",))
        ended, said = await bench.run(
            f"curl -sS --noproxy '' http://127.0.0.1:{port}/", box=replace(bench.box, egress=rules)
        )
    assert (ended.exit_code, said) == (0, "the engine")
    assert ended.notes == []


async def test_without_a_network_every_try_is_seen(bench: Bench) -> None:
    async with listening() as port:
        rules = EgressRules("none", exceptions=(f"127.0.0.1:{port}",))
        ended, said = await bench.run(
            f"curl -sS --noproxy '' http://127.0.0.1:{port}/; curl -sS https://example.com/",
            box=replace(bench.box, egress=rules),
        )
    assert "the engine" not in said
    assert {note.split()[2].rstrip(":") for note in ended.notes} == {f"127.0.0.1:{port}", "example.com:443"}


async def test_the_hosts_network_needs_the_installations_leave(bench: Bench) -> None:
    box = Box(workspace=bench.work, egress=EgressRules("host"))
    with pytest.raises(NotIsolatedError, match="OVERNIGHT_EGRESS_AT_MOST"):
        await bench.run("true", box=box)
    async with listening() as port:
        ended, said = await bench.with_settings(egress_at_most="host").run(KNOCK.format("127.0.0.1", port), box=box)
    assert ended.exit_code == 0
    assert "the engine" in said


async def test_a_service_of_the_worker_is_on_the_boxs_own_loopback(bench: Bench) -> None:
    @asynccontextmanager
    async def serving(listener: socket.socket) -> AsyncIterator[None]:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"from the worker")
            writer.close()

        server = await asyncio.start_server(greet, sock=listener)
        async with server:
            yield

    ended, said = await bench.run(KNOCK.format("127.0.0.1", 61_500), box=replace(bench.box, services={61_500: serving}))
    assert (ended.exit_code, said) == (0, "from the worker")
