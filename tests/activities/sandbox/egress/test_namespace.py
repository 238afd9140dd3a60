"""As it is used: the box's own empty network, and a listener that was made inside and is served from outside."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

import pytest

from activities.sandbox import find_isolation
from activities.sandbox.egress import Blocked
from tests.activities.sandbox.egress.support import Site, World, server

INSIDE = """
import json, socket, sys, urllib.error, urllib.request as u
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
with socket.socket(socket.AF_UNIX) as door:
    door.connect(sys.argv[1])
    socket.send_fds(door, [b"x"], [listener.fileno()])
listener.close()
interfaces = [name for _, name in socket.if_nameindex()]
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=60)
    reached = True
except OSError:
    reached = False
opener = u.build_opener(u.ProxyHandler({"http": f"http://127.0.0.1:{port}"}))
said = opener.open("http://site.example/").read().decode()
try:
    blocked = opener.open(f"http://127.0.0.1:{sys.argv[2]}/").read().decode()
except urllib.error.HTTPError as error:
    blocked = error.headers["X-Overnight-Blocked"]
print(json.dumps([interfaces, reached, said, blocked]))
"""


async def test_a_box_without_network_reaches_what_it_may(tmp_path: Path) -> None:
    isolation = find_isolation()
    if isolation.bwrap is None:
        pytest.skip(isolation.problem)
    path = tmp_path / "door"
    world, site = World(), Site()
    egress = world.egress()
    async with server(site) as there:
        world.put("site.example", 80, there)
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
            door.listen(1)
            box = await asyncio.create_subprocess_exec(
                str(isolation.bwrap), "--unshare-user", "--unshare-net", "--unshare-pid", "--die-with-parent",
                "--bind", "/", "/", "--proc", "/proc", "--", sys.executable, "-c", INSIDE, str(path), str(there),
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            visitor, _ = await asyncio.to_thread(door.accept)
            with visitor:
                _, (handle,), _, _ = socket.recv_fds(visitor, 1, 1)
        async with egress.serving(socket.socket(fileno=handle)), asyncio.timeout(30):
            out, _ = await box.communicate()
    assert json.loads(out) == [["lo"], False, "hello", "a loopback address"]
    assert egress.blocked == [Blocked(f"127.0.0.1:{there}", "a loopback address", 1)]
    assert len(site.asked) == 1
