"""Which addresses are public, and in words what the others are."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import psutil

from overnight.base.destinations import Address, Network

OWN_SECONDS = 5.0
"""How long the machine's own addresses are remembered."""


class Nature(StrEnum):
    """What it takes to open an address that is not public."""

    NEVER = "never"
    """Nothing opens it."""
    MACHINE = "machine"
    """This machine itself: an exception that names the port, or all of Overnight's own ports were open."""
    PRIVATE = "private"
    """An exception of the installation."""


@dataclass(frozen=True)
class NotPublic:
    """Why an address is not public."""

    reason: str
    """What it is: "a private address"."""
    nature: Nature


@dataclass(frozen=True)
class Machine:
    """What this machine answers to, and the networks with public numbers that it sits in."""

    addresses: frozenset[Address]
    networks: tuple[Network, ...]


METADATA = "a cloud metadata address"
WRAPPED = "an IPv4 address inside an IPv6 address"

_NEVER, _MACHINE, _PRIVATE = Nature.NEVER, Nature.MACHINE, Nature.PRIVATE
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Google, Azure, Oracle, DigitalOcean, OpenStack
        "169.254.169.253", "169.254.169.123",  # AWS: name server, clock
        "169.254.170.2", "169.254.170.23",  # AWS: credentials of containers and pods
        "169.254.42.42",  # Scaleway
        "169.254.0.23",  # Tencent
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's host, at a public address
        "192.0.0.192",  # Oracle, classic
        "fd00:ec2::254", "fd00:ec2::253", "fd00:ec2::123", "fd00:ec2::23",  # AWS
        "fd20:ce::254",  # Google
        "fd00:c1::a9fe:a9fe",  # Oracle
        "fd00:42::42",  # Scaleway
    )
)  # fmt: skip
_TABLE: tuple[tuple[Network, NotPublic], ...] = tuple(
    (ip_network(text), NotPublic(reason, nature))
    for text, reason, nature in (
        ("0.0.0.0/32", "the unspecified address", _NEVER),
        ("0.0.0.0/8", "a reserved address", _NEVER),
        ("127.0.0.0/8", "a loopback address", _MACHINE),
        ("10.0.0.0/8", "a private address", _PRIVATE),
        ("172.16.0.0/12", "a private address", _PRIVATE),
        ("192.168.0.0/16", "a private address", _PRIVATE),
        ("100.64.0.0/10", "a private address of a carrier", _PRIVATE),
        ("169.254.0.0/16", "a link-local address", _PRIVATE),
        ("192.0.0.0/24", "a reserved address", _PRIVATE),
        ("192.0.2.0/24", "a documentation address", _PRIVATE),
        ("198.51.100.0/24", "a documentation address", _PRIVATE),
        ("203.0.113.0/24", "a documentation address", _PRIVATE),
        ("192.88.99.0/24", "an IPv6 transition address", _NEVER),
        ("198.18.0.0/15", "a benchmarking address", _PRIVATE),
        ("224.0.0.0/4", "a multicast address", _NEVER),
        ("255.255.255.255/32", "the broadcast address", _NEVER),
        ("240.0.0.0/4", "a reserved address", _PRIVATE),
        ("::/128", "the unspecified address", _NEVER),
        ("::1/128", "a loopback address", _MACHINE),
        ("::/96", WRAPPED, _NEVER),
        ("::ffff:0:0/96", WRAPPED, _NEVER),
        ("::ffff:0:0:0/96", WRAPPED, _NEVER),
        # Where there is no IPv4, names without IPv6 get this one: an installation may open it, for public addresses.
        ("64:ff9b::/96", WRAPPED, _PRIVATE),
        ("64:ff9b:1::/48", WRAPPED, _NEVER),
        ("100::/64", "a reserved address", _NEVER),
        ("2001::/32", "an IPv6 transition address", _NEVER),
        ("2001:2::/48", "a benchmarking address", _PRIVATE),
        ("2001::/23", "a reserved address", _NEVER),
        ("2001:db8::/32", "a documentation address", _PRIVATE),
        ("2002::/16", "an IPv6 transition address", _NEVER),
        ("3fff::/20", "a documentation address", _PRIVATE),
        ("fc00::/7", "a private address", _PRIVATE),
        ("fe80::/10", "a link-local address", _PRIVATE),
        ("fec0::/10", "a private address", _PRIVATE),
        ("ff00::/8", "a multicast address", _NEVER),
    )
)
_WRAPPERS = tuple(ip_network(t) for t in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96"))
_GLOBAL_V6 = IPv6Network("2000::/3")

_known: tuple[float, Machine] | None = None


def not_public(address: Address, machine: Machine | None = None) -> NotPublic | None:
    """Why ``address`` is not public, or None when it is.

    ``machine`` is this one when absent. Raises ``OSError`` when the machine's own addresses cannot be had.
    """
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return NotPublic("a link-local address", _NEVER)
    if address in _METADATA:
        return NotPublic(METADATA, _NEVER)
    machine = machine or this_machine()
    if address in machine.addresses and not address.is_loopback:
        return NotPublic("this machine's own address", _MACHINE)
    for network, verdict in _TABLE:
        if address in network:
            inner = _unwrapped(address)
            hidden = not_public(inner, machine) if inner else None
            return NotPublic(hidden.reason, _NEVER) if hidden else verdict
    if any(address in network for network in machine.networks):
        return NotPublic("an address in this machine's own network", _PRIVATE)
    if not address.is_global or (address.version == 6 and address not in _GLOBAL_V6):
        return NotPublic("a reserved address", _NEVER)
    return None


def this_machine() -> Machine:
    """What this machine answers to, looked up anew every few seconds. Raises ``OSError``."""
    global _known  # noqa: PLW0603 (one machine, one memory of it)
    now = time.monotonic()
    if _known is None or now - _known[0] > OWN_SECONDS:
        _known = (now, _look())
    return _known[1]


def _look() -> Machine:
    addresses: set[Address] = set()
    networks: set[Network] = set()
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            try:
                address = ip_address(entry.address.partition("%")[0])
            except ValueError:
                continue  # a hardware address
            addresses.add(address)
            if entry.netmask and (network := _neighbours(address, entry.netmask)):
                networks.add(network)
    return Machine(frozenset(addresses), tuple(networks))


def _neighbours(address: Address, netmask: str) -> Network | None:
    """The network at the other end of the cable: a router keeps the internet out of it, we are inside.

    None for one that is too wide to be a cable's.
    """
    bits = int(ip_address(netmask)).bit_count()
    narrow = bits >= (16 if isinstance(address, IPv4Address) else 48)
    return ip_network(f"{address}/{bits}", strict=False) if narrow else None


def _unwrapped(address: Address) -> IPv4Address | None:
    """The IPv4 address in one of IPv6, where it takes the last 32 bits."""
    if isinstance(address, IPv6Address) and int(address) > 1 and any(address in w for w in _WRAPPERS):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
