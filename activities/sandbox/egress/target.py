"""What a client asks for: a host and a port, read so that no spelling hides an address."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import idna

Address = IPv4Address | IPv6Address

_MAX_HOST = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")


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
        raise ValueError("this is not a host: write a name such as pypi.org or an address")
    name = text if text.isascii() else _in_ascii(text)
    name = name.lower().removesuffix(".")
    if address := _address(name):
        return str(address), address
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or _NUMERIC.fullmatch(labels[-1]):
        raise ValueError("this is neither a host name nor an address: write a name such as pypi.org")
    return name, None


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
