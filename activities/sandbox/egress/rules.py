"""Where a box may go: the session's mode and list, and the installation's exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from activities.sandbox.egress.addresses import Nature, NotPublic, not_public
from overnight.base.destinations import Address, Entry, Target, read_entry

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
class EgressRules:
    """Where a box may go. Raises ``ValueError`` in words for an entry that cannot be read.

    An entry is a host (``pkgs.dev``), the hosts below one (``*.nlibs.dev``), both (``.example.com``), an address or a
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
