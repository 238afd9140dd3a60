"""A host with a network of its own, joined to ours by one cable that can be pulled. Needs root."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psutil
from pyroute2 import AsyncIPRoute, netns

PREFIX = "overnight-test-"
"""Of a namespace's name; the process that made it comes after that."""
OURS, THEIRS = "169.254.213.1", "169.254.213.2"


@dataclass
class Cable:
    """One cable between two network namespaces, and how a program is started at its far end."""

    space: str
    end: int
    """Number of our end among our interfaces."""

    @property
    def there(self) -> tuple[str, ...]:
        """In front of a command: it runs at the far end."""
        return ("nsenter", f"--net=/var/run/netns/{self.space}", "--")

    async def plug(self, *, into: bool) -> None:
        """Pulled, nothing gets through any more, and nobody is told."""
        async with AsyncIPRoute() as here:
            await here.link("set", index=self.end, state="up" if into else "down")


@asynccontextmanager
async def cable() -> AsyncIterator[Cable]:
    """A namespace with its loopback and one end of a cable, both up; all of it is gone afterwards."""
    for left in netns.listnetns():
        owner = left.removeprefix(PREFIX)
        if owner != left and not psutil.pid_exists(int(owner)):
            # Of a run that was killed: its address would be in our way.
            netns.remove(left)
    name = str(os.getpid())
    space, near, far = f"{PREFIX}{name}", f"on-{name}", f"of-{name}"
    netns.create(space)
    try:
        async with AsyncIPRoute() as here:
            await here.link("add", ifname=near, kind="veth", peer={"ifname": far, "net_ns_fd": space})
            [end] = await here.link_lookup(ifname=near)
            await here.addr("add", index=end, address=OURS, prefixlen=30)
            await here.link("set", index=end, state="up")
        async with AsyncIPRoute(netns=space) as there:
            [other] = await there.link_lookup(ifname=far)
            await there.addr("add", index=other, address=THEIRS, prefixlen=30)
            for index in (*await there.link_lookup(ifname="lo"), other):
                await there.link("set", index=index, state="up")
        yield Cable(space, end)
    finally:
        # The cable goes with the namespace that holds its far end.
        netns.remove(space)
