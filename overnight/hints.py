"""What a session was refused or will not get, and what opens it: in a client's own terms."""

from __future__ import annotations

import re
from dataclasses import dataclass

from overnight.base.chosen import RENEW
from overnight.base.destinations import out_of_reach
from workflows.contracts.reads import HostAnswer
from workflows.contracts.spec import Egress
from workflows.contracts.state import Event
from workflows.contracts.status import TestResult
from workflows.contracts.text import ELLIPSIS
from workflows.policy.report import SHOW_IT
from workflows.policy.words import NOT_FOUND

_BLOCKED = re.compile(r"network: blocked (?P<target>\S+?)(?: \(\d+ times\))?: (?P<reason>.+)$")
_LIMIT = re.compile(r"sandbox limit hit: .*\((?P<setting>OVERNIGHT_[A-Z_]+)\)")
_MISSING = re.compile(r"(?:command not found|: not found)\s*$", re.MULTILINE)
_OPENED_BY_EXCEPTION = re.compile(r"private address|own network|own address|loopback address|documentation|link-local")
_METADATA = re.compile(r"169\.254\.|\[?fd00:ec2::254\b")
"""Where clouds tell machines their credentials: nothing opens it."""
_ODD_PORT = re.compile(r":(?!(?:80|443)$)\d+$")


@dataclass(frozen=True)
class Terms:
    """How a client asks for a network when it starts a session."""

    host: str
    public: str


AS_OPTIONS = Terms(host="--allow-host {}", public="--egress public")
AS_ARGUMENTS = Terms(host="allow_hosts=[{!r}]", public="egress='public'")


def hint_of_event(event: Event, terms: Terms) -> str:
    """What a person can do about something that the sandbox stopped; empty for any other event."""
    if event.kind != "note":
        return ""
    if found := _LIMIT.search(event.text):
        return f"if the work needs more, start the worker with a higher {found['setting']} ({RENEW})"
    if found := _BLOCKED.search(event.text):
        return _of_blocked(found["target"], found["reason"], terms)
    return ""


def _of_blocked(target: str, reason: str, terms: Terms) -> str:
    host = target if _ODD_PORT.search(target) else target.rpartition(":")[0]
    listed = terms.host.format(host)
    if _METADATA.match(target):
        return ""
    if out_of_reach([target], []):
        # Named by a session or not: no list reaches what is not public.
        return f"if the work needs it, start the worker with OVERNIGHT_EGRESS_EXCEPTIONS={target} ({RENEW})"
    if reason.startswith("not on this session"):
        return f"if the work needs it, start a session with {listed} as well, or with {terms.public}"
    if reason.startswith("this session has no network"):
        return f"if the work needs it, start a session with {listed}, or with {terms.public}"
    if _OPENED_BY_EXCEPTION.search(reason):
        return f"if the work needs it, start the worker with OVERNIGHT_EGRESS_EXCEPTIONS={target} ({RENEW})"
    return ""


def hint_of_result(result: TestResult) -> str:
    """What a command calls for that ended because a program was not there; empty for any other end."""
    if result.passed or not (result.exit_code == NOT_FOUND or _MISSING.search(result.tail)):
        return ""
    return f"{SHOW_IT} ({RENEW})"


def unreached(egress: Egress, host: HostAnswer) -> list[str]:
    """Hosts that a session asks for and that nothing reaches."""
    opened = host.settings.get("egress_exceptions", "")
    if ELLIPSIS in opened:  # too long to be told whole
        return []
    return [f"allow_hosts: {said}" for said in out_of_reach(egress.allow, opened.split(", ") if opened else [])]
