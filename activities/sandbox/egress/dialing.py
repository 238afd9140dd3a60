"""From a destination to a connection: rules, look-up, rules again, and the very address that was looked at."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from activities.sandbox.egress.addresses import not_public
from activities.sandbox.egress.blocked import BlockedLog
from activities.sandbox.egress.bounds import Bounds
from activities.sandbox.egress.errors import BlockedError, UnknownNameError, UnreachableError
from activities.sandbox.egress.network import Connect, Resolve
from activities.sandbox.egress.rules import EgressRules, Refusal
from activities.sandbox.egress.upstream import Upstream, may_go_by_name
from overnight.base.destinations import Address, Target

MAX_JUDGED = 64
"""Addresses of one name that are looked at; the others are not used."""
MAX_TRIED = 6
"""Addresses of one name that are tried."""

_OWN_PROXY = Refusal("this installation's own proxy", "Go on without it.")


@dataclass(frozen=True)
class Link:
    """A connection to where a client wanted to go."""

    sock: socket.socket
    early: bytes = b""
    """What the other side has said already."""


class Dialer:
    """Makes the connections that the rules allow, and keeps account of the others."""

    def __init__(
        self,
        rules: EgressRules,
        resolve: Resolve,
        connect: Connect,
        upstream: Upstream | None,
        bounds: Bounds,
        *,
        trusted_names: bool = False,
    ) -> None:
        """``trusted_names``: the upstream may be asked for names that are not known here."""
        self._trusted_names = trusted_names
        self.blocked = BlockedLog()
        self._rules = rules
        self._resolve = resolve
        self._connect = connect
        self._upstream = upstream
        self._bounds = bounds

    async def dial(self, target: Target) -> Link:
        """A connection to ``target``. Raises ``EgressError``: blocked (then it is recorded), unknown, out of reach."""
        try:
            return await self._dial(target)
        except BlockedError as error:
            self.blocked.add(str(target), error.reason)
            raise
        except OSError as error:
            raise UnreachableError(target, error) from error

    async def _dial(self, target: Target) -> Link:
        if refusal := self._rules.before_lookup(target):
            raise BlockedError(target, refusal)
        addresses = [target.address] if target.address else await self._look_up(target)
        if refusal := self._rules.after_lookup(target, addresses):
            raise BlockedError(target, refusal)
        if self._upstream is None:
            return Link(await self._reach(addresses, target.port))
        doors = await self._doors(self._upstream)
        if target.host == self._upstream.host or set(doors) & set(addresses):
            # Who can speak to it can ask it for anything, past all rules.
            raise BlockedError(target, _OWN_PROXY)
        if any(not_public(address) for address in addresses):
            # An exception is a part of the installation's own network: no proxy is between.
            return Link(await self._reach(addresses, target.port))
        # By the address that was looked at: a name would be looked up once more, and may lead elsewhere by then.
        wanted = Target(str(addresses[0]), target.port, addresses[0]) if addresses else target
        return await self._through(self._upstream, doors, wanted)

    async def _look_up(self, target: Target) -> Sequence[Address]:
        """The addresses of a name; none when it is left to the installation's proxy."""
        found: Sequence[Address] = ()
        with suppress(socket.gaierror, TimeoutError, UnicodeError):
            async with asyncio.timeout(self._bounds.lookup_s):
                found = await self._resolve(target.host, target.port)
        if found:
            return found[:MAX_JUDGED]
        if self._upstream and ((self._trusted_names and may_go_by_name(target.host)) or self._rules.excepts(target)):
            return ()
        raise UnknownNameError(target)

    async def _reach(self, addresses: Sequence[Address], port: int) -> socket.socket:
        """A connection to the first address that takes it. Raises ``OSError``."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._bounds.connect_s
        last: OSError = OSError("no address")
        tried = addresses[:MAX_TRIED]
        for left, address in zip(range(len(tried), 0, -1), tried, strict=True):
            try:
                # One that does not answer must leave time for the others.
                async with asyncio.timeout((end - loop.time()) / left):
                    return await self._connect(address, port)
            except OSError as error:
                last = error
        raise last

    async def _doors(self, upstream: Upstream) -> Sequence[Address]:
        if upstream.address:
            return [upstream.address]
        try:
            async with asyncio.timeout(self._bounds.lookup_s):
                return await self._resolve(upstream.host, upstream.port)
        except OSError as error:
            raise ConnectionError("the installation's own proxy cannot be found") from error

    async def _through(self, upstream: Upstream, doors: Sequence[Address], wanted: Target) -> Link:
        async with asyncio.timeout(self._bounds.connect_s):
            sock = await self._reach(doors, upstream.port)
            try:
                return Link(sock, await upstream.greet(sock, wanted))
            except BaseException:
                sock.close()
                raise
