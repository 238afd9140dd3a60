"""Destinations that a session may name for its allow-list: read before anything starts, as the worker reads them."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, ip_address, ip_network

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_MAX_HOST = 253
_PORTS = {"http": ":80", "https": "", "git": ":9418", "ssh": ":22", "ftp": ":21"}


def problem_of(text: str) -> str | None:
    """What is wrong with a destination, in words, or None.

    Right are ``pypi.org``, ``*.npmjs.org`` (what is below it), ``.example.com`` (it and what is below it), addresses
    and networks (``192.0.2.0/24``), each with ``:port`` if need be; IPv6 with a port goes in brackets.
    """
    try:
        _read(text)
    except ValueError as error:
        return str(error)
    return None


def _read(text: str) -> None:
    scheme, url, rest = text.partition("://")
    if url:
        host = rest.partition("/")[0].rpartition("@")[2]
        named = f"{host}{'' if ':' in host else _PORTS.get(scheme.lower(), '')}" if problem_of(host) is None else ""
        raise ValueError(f"this is a URL: give the host{f', {named}' if named else ' alone, such as pypi.org'}")
    if not text or "," in text or any(c.isspace() for c in text):
        raise ValueError("one entry names one destination, such as pypi.org, without spaces or commas")
    if "@" in text:
        raise ValueError("a user has no place here: give the host alone")
    if not text.isascii():
        raise ValueError("give the name in ASCII, as it is in the DNS (xn--...)")
    if "/" in text:
        _read_network(text)
        return
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    below = text.startswith(("*.", "."))
    host = _without_port(text.removeprefix("*").removeprefix(".") if below else text)
    if host == "*":
        raise ValueError("every host is the egress 'public': choose that instead")
    if "*" in host:
        raise ValueError("a star stands only in front, for what is below a name: *.example.com")
    if _is_address(host):
        if below:
            raise ValueError("nothing is below an address: give a network, such as 192.0.2.0/24")
        return
    labels = host.removesuffix(".").split(".")
    if len(host) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels) or _NUMBER.fullmatch(labels[-1]):
        raise ValueError("this is neither a host name nor an address: give a name such as pypi.org")


def _without_port(text: str) -> str:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError("brackets go around an IPv6 address: give [2001:db8::1]:443")
        _check_port(rest[1:] if rest else None)
        return host
    host, colon, port = text.partition(":")
    _check_port(port if colon else None)
    return host


def _check_port(text: str | None) -> None:
    if text is not None and not (text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536):
        raise ValueError("the port is a number from 1 to 65535: give host:port")


def _is_address(host: str) -> bool:
    """Whether it is an address in its usual spelling: others are taken for one here and for a name there."""
    if ":" not in host:
        try:
            IPv4Address(host)
        except ValueError:
            return False
        return True
    if "%" in host:
        raise ValueError("an address with a zone is this machine's own network: nothing opens those")
    try:
        usual = str(ip_address(host))
    except ValueError:
        raise ValueError("this is not an IPv6 address: give one such as 2001:db8::1") from None
    if usual != host.lower():
        raise ValueError(f"this is an address in an odd spelling: give {usual}")
    return True


def _read_network(text: str) -> None:
    base, _, rest = text.partition("/")
    length, colon, port = rest.partition(":")
    base = base.removeprefix("[").removesuffix("]")
    if not length.isdigit():
        raise ValueError("a path has no place here: give the host alone, or a network such as 192.0.2.0/24")
    _check_port(port if colon else None)
    try:
        network = ip_network(f"{base}/{length}", strict=False)
    except ValueError:
        raise ValueError("this is no network: give one such as 192.0.2.0/24") from None
    if str(network.network_address) != base.lower():
        raise ValueError(f"the bits after the prefix are not zero: give {network}")
