"""Destinations: what a client of the proxy asks for, and what a list of them may hold. No spelling hides an address."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import idna

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX_HOST = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")


_NOT_PUBLIC: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(text), what)
    for text, what in (
        ("127.0.0.0/8", "this machine itself"),
        ("::1/128", "this machine itself"),
        ("10.0.0.0/8", "a private address"),
        ("172.16.0.0/12", "a private address"),
        ("192.168.0.0/16", "a private address"),
        ("100.64.0.0/10", "a private address of a carrier"),
        ("169.254.0.0/16", "a link-local address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
    )
)
_PRIVATE_NAMES = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa", "corp")
"""Last parts of names that the public system of names does not have."""


@dataclass(frozen=True)
class Target:
    """A destination in its one canonical spelling."""

    host: str
    """A name in ASCII and lower case without a final dot, or the usual spelling of ``address``."""
    port: int
    address: Address | None = None
    """Set when the host is an address and not a name."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Entry:
    """One line of a list: a name, the names below a name, or a network; on one port or on all."""

    port: int | None
    name: str = ""
    itself: bool = True
    """Whether ``name`` itself is meant."""
    below: bool = False
    """Whether the names below it are."""
    network: Network | None = None

    def names(self, target: Target) -> bool:
        """Whether it means this destination, as far as its name or address as written tells."""
        if self.port not in (None, target.port):
            return False
        if target.address is not None:
            return self.network is not None and target.address in self.network
        if self.network is not None:
            return False
        return (self.itself and target.host == self.name) or (self.below and target.host.endswith(f".{self.name}"))

    def holds(self, address: Address, port: int) -> bool:
        """Whether it is a network with this address in it."""
        return self.port in (None, port) and self.network is not None and address in self.network


def read_target(text: str, default_port: int | None = None) -> Target:
    """Read ``host:port``, IPv6 in brackets; raises ``ValueError`` in words.

    Without ``default_port`` a missing port is an error.
    """
    host, port = split_port(text)
    if port is None:
        port = default_port
    if port is None:
        raise ValueError("the port is missing: write host:port")
    name, address = read_host(host)
    return Target(name, port, address)


def split_port(text: str) -> tuple[str, int | None]:
    """Host, without brackets, and port of ``text``; raises ``ValueError`` in words."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError("brackets go around an IPv6 address: write [2001:db8::1]:443")
        return host, _port(rest[1:]) if rest else None
    host, colon, port = text.partition(":")
    if ":" in port:
        raise ValueError("an IPv6 address goes in brackets: write [2001:db8::1]:443")
    return host, _port(port) if colon else None


def read_host(text: str) -> tuple[str, Address | None]:
    """The canonical spelling of a host, and its address if it is one; raises ``ValueError`` in words.

    Whatever the C library's ``inet_aton`` takes for an address is one: ``127.1``, ``0x7f.1``, ``2130706433``.
    """
    if not text or len(text) > _MAX_HOST or not text.isprintable() or " " in text:
        raise ValueError("this is not a host: write a name such as pkgs.dev or an address")
    name = text if text.isascii() else _in_ascii(text)
    name = name.lower().removesuffix(".")
    if address := _address(name):
        return str(address), address
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or _NUMERIC.fullmatch(labels[-1]):
        raise ValueError("this is neither a host name nor an address: write a name such as pkgs.dev")
    return name, None


def read_entry(text: str) -> Entry:
    """One line of a list; raises ``ValueError`` in words."""
    try:
        return _read(text)
    except ValueError as error:
        raise ValueError(f"{text[:120]!r} is no destination: {error}") from error


def _read(text: str) -> Entry:
    scheme, found, rest = text.partition("://")
    if found:
        host = rest.partition("/")[0].rpartition("@")[2]
        ports = {"https": ":443", "http": ":80"}
        raise ValueError(f"this is a URL: write {host}{'' if ':' in host else ports.get(scheme.lower(), '')}")
    if "," in text or any(c.isspace() for c in text):
        raise ValueError("one entry names one destination: write several entries")
    if "@" in text:
        raise ValueError("a user has no place here: write the host alone")
    if "/" in text:
        return _read_network(text)
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    below = text.startswith(("*.", "."))
    itself = not text.startswith("*.")
    host, port = split_port(text.removeprefix("*").removeprefix(".") if below else text)
    if "*" in host:
        everything = host == "*"
        raise ValueError(
            "everything is the mode 'public': write that" if everything else "a star stands in front: *.example.com"
        )
    name, address = read_host(host)
    if address is None:
        return Entry(port, name=name, itself=itself, below=below)
    if below:
        raise ValueError("nothing is below an address: write a network, such as 192.0.2.0/24")
    if name != host.lower():
        raise ValueError(f"this is an address in an odd spelling: write {name}")
    if "%" in name:
        raise ValueError("an address with a zone is link-local: nothing opens those")
    return Entry(port, network=ip_network(address))


def _read_network(text: str) -> Entry:
    """``10.0.0.0/8``, ``10.0.0.0/8:443``, ``2001:db8::/32``, ``[2001:db8::]/32:443``."""
    base, _, rest = text.partition("/")
    length, colon, port_text = rest.partition(":")
    port = split_port(f"x:{port_text}")[1] if colon else None
    if not (length.isascii() and length.isdigit()):
        raise ValueError("a path has no place here: write the host alone, or a network such as 10.0.0.0/8")
    base = base.removeprefix("[").removesuffix("]")
    try:
        network = ip_network(f"{base}/{length}", strict=False)
    except ValueError as error:
        raise ValueError("this is no network: write one such as 10.0.0.0/8") from error
    if str(network.network_address) != base.lower():
        raise ValueError(f"the bits after the prefix are not zero: write {network}")
    return Entry(port, network=network)


def out_of_reach(allow: Iterable[str], exceptions: Iterable[str]) -> list[str]:
    """For each entry of a session's allow-list that is no public destination, a sentence that says so.

    ``exceptions`` are the installation's, which open such destinations. Entries that cannot be read say nothing here.
    """
    opened = [entry for text in exceptions if (entry := _entry_or_none(text)) is not None]
    said = []
    for text in allow:
        entry = _entry_or_none(text)
        what = _not_public(entry) if entry is not None else None
        if entry is None or what is None or any(_covers(one, entry) for one in opened):
            continue
        named = text if entry.port is not None or what != _NOT_PUBLIC[0][1] else f"{text}:PORT"
        said.append(
            f"{text} is {what}, and sessions reach public addresses only; to open it, start the worker with"
            f" OVERNIGHT_EGRESS_EXCEPTIONS={named} (overnight down && overnight up)"
        )
    return said


def _not_public(entry: Entry) -> str | None:
    """What it is that is not public, as far as an entry's own text tells."""
    if (network := entry.network) is not None:
        return next((what for private, what in _NOT_PUBLIC if _within(network, private)), None)
    if any(entry.name == last or entry.name.endswith(f".{last}") for last in _PRIVATE_NAMES):
        return _NOT_PUBLIC[0][1] if entry.name.endswith("localhost") else "a name of a private network"
    alone = "." not in entry.name and entry.itself and not entry.below
    return "a name of a private network" if alone else None


def _covers(wider: Entry, entry: Entry) -> bool:
    """Whether all that ``entry`` means is meant by ``wider``, too."""
    if wider.port not in (None, entry.port):
        return False
    if entry.network is not None:
        return wider.network is not None and _within(entry.network, wider.network)
    if wider.network is not None:
        return False
    if entry.name == wider.name:
        return (wider.itself or not entry.itself) and (wider.below or not entry.below)
    return wider.below and entry.name.endswith(f".{wider.name}")


def _within(network: Network, wider: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(wider, IPv4Network) and network.subnet_of(wider)
    return isinstance(wider, IPv6Network) and network.subnet_of(wider)


def _entry_or_none(text: str) -> Entry | None:
    try:
        return _read(text)
    except ValueError:
        return None


def problem_of(text: str) -> str | None:
    """What is wrong with an entry of a list, in words, or None."""
    try:
        _read(text)
    except ValueError as error:
        return str(error)
    return None


def _in_ascii(text: str) -> str:
    try:
        return idna.encode(text, uts46=True).decode()
    except UnicodeError as error:
        raise ValueError("this is no host name in any script: write it as a browser shows it") from error


def _address(name: str) -> Address | None:
    if ":" in name:
        try:
            return ip_address(name)
        except ValueError as error:
            raise ValueError("this is not an IPv6 address: write one such as 2001:db8::1") from error
    try:
        return IPv4Address(socket.inet_aton(name))
    except OSError:
        return None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536):
        raise ValueError("the port is a number from 1 to 65535")
    return int(text)
