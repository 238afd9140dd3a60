"""Where a box may go: the session's mode and list, and the installation's exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Literal

from activities.sandbox.egress.addresses import Nature, Network, NotPublic, not_public
from activities.sandbox.egress.target import Address, Target, read_host, split_port

Mode = Literal["public", "allow-list", "none", "host"]
"""``public`` addresses; those of an ``allow-list``; none; or the host's own network, which no proxy serves."""

MAIL_PORT = 25
_WIDEST = {4: 8, 6: 7}
"""Shortest prefix of an exception: wider ones would open more than anybody's own network."""


@dataclass(frozen=True)
class Refusal:
    """Why a destination is out of bounds, and what whoever asked can do."""

    reason: str
    advice: str


NO_NETWORK = Refusal(
    "this session has no network",
    "Go on with what is here; trying again or another way will not help. The person who started the session chose "
    "this and can choose otherwise.",
)
NOT_LISTED = Refusal(
    "not on this session's allow-list",
    "The person who started the session can add it. Go on without it, or say in your answer that it is needed.",
)
MAIL = Refusal("port 25 sends mail", "Nothing here may send mail.")
_PRIVATE_ADVICE = (
    "Only public addresses can be reached from here, by whatever name. If the work needs this one, say so in your "
    "answer: whoever runs Overnight can open it with OVERNIGHT_EGRESS_EXCEPTIONS."
)
_MACHINE_ADVICE = (
    "The machine that runs the sandbox cannot be reached from inside. A server that was started in here is reached "
    "directly on 127.0.0.1, without the proxy (NO_PROXY=localhost,127.0.0.1,::1)."
)
_NEVER_ADVICE = "Nothing opens it; go on without it."
_ADVICE = {Nature.NEVER: _NEVER_ADVICE, Nature.MACHINE: _MACHINE_ADVICE, Nature.PRIVATE: _PRIVATE_ADVICE}


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


@dataclass(frozen=True)
class EgressRules:
    """Where a box may go. Raises ``ValueError`` in words for an entry that cannot be read.

    An entry is a host (``pypi.org``), the hosts below one (``*.npmjs.org``), both (``.example.com``), an address or a
    network (``10.0.0.0/8``), each with ``:port`` if need be; IPv6 with a port goes in brackets.
    """

    mode: Mode
    allow: tuple[str, ...] = ()
    """The session's list, for the mode ``allow-list``. What a name on it leads to must be public all the same: whoever
    holds the name could point it anywhere."""
    exceptions: tuple[str, ...] = ()
    """The installation's own: reachable in ``public`` and ``allow-list`` mode though not public. This machine itself
    only with a port; metadata services never."""
    _allow: tuple[Entry, ...] = field(init=False, repr=False, compare=False)
    _exceptions: tuple[Entry, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allow", tuple(map(read_entry, self.allow)))
        object.__setattr__(self, "_exceptions", tuple(map(_read_exception, self.exceptions)))

    def before_lookup(self, target: Target) -> Refusal | None:
        """Why ``target`` is refused without a look at its addresses, or None.

        What is refused here must not be looked up: the name of a look-up carries data out.
        """
        if self.mode == "none":
            return NO_NETWORK
        named = [entry for entry in self._exceptions if entry.names(target)]
        if target.port == MAIL_PORT and all(entry.port is None for entry in named):
            return MAIL
        if self.mode == "allow-list" and not named and not any(entry.names(target) for entry in self._allow):
            return NOT_LISTED
        return None

    def after_lookup(self, target: Target, addresses: Sequence[Address]) -> Refusal | None:
        """Why ``target``, which leads to ``addresses``, is refused, or None: a single bad one spoils all.

        Raises ``OSError`` when this machine's own addresses cannot be had.
        """
        for address in addresses:
            verdict = not_public(address)
            if verdict and not self._opens(target, address, verdict):
                return Refusal(verdict.reason, _ADVICE[verdict.nature])
        return None

    def excepts(self, target: Target) -> bool:
        """Whether an exception names ``target`` as it is written."""
        return any(entry.names(target) for entry in self._exceptions)

    def _opens(self, target: Target, address: Address, verdict: NotPublic) -> bool:
        if verdict.nature is Nature.NEVER:
            return False
        meant = [e for e in self._exceptions if e.names(target) or e.holds(address, target.port)]
        return any(entry.port is not None or verdict.nature is Nature.PRIVATE for entry in meant)


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


def _read_exception(text: str) -> Entry:
    entry = read_entry(text)
    network = entry.network
    if network is None:
        return entry
    if network.prefixlen < _WIDEST[network.version]:
        raise ValueError(f"{text!r} opens more than a network of one's own: write a longer prefix")
    verdict = not_public(network.network_address) if network.num_addresses == 1 else None
    if verdict and verdict.nature is Nature.NEVER:
        raise ValueError(f"{text!r} is {verdict.reason}: nothing opens it, take it out")
    if network.is_loopback and entry.port is None:
        raise ValueError(f"{text!r} opens all of Overnight's own ports: write {text}:PORT with the one that is meant")
    return entry
