"""Words that the workflow and its clients share: how many of something, how a command went, what a sandbox keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from workflows.contracts.evidence import Source, Tally

NO_SANDBOX = "none"
"""The name of an isolation that is none."""
TOO_LATE = "came too late, no prompt carried it"
"""What became of guidance that was still waiting when the session ended."""
NOTHING_COMMITTED = "nothing was committed"
HOSTS_NETWORK = "network: the host's"


def counted(number: int, one: str, many: str | None = None) -> str:
    """``number`` of something: "1 file", "2 files", "2 criteria"."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def sandbox(isolation: str, network: str | None) -> str:
    """What stands between untrusted code and the host; ``network`` is None where it is the host's own."""
    return f"{isolation}, {HOSTS_NETWORK if network is None else f'network: {network}'}"


def with_hosts(sandbox: str, hosts: Sequence[str]) -> str:
    """``sandbox`` with the hosts of its allow-list, where there is one in force."""
    return f"{sandbox} ({', '.join(hosts)})" if hosts and sandbox.endswith("network: allow-list") else sandbox


def exposure(sandbox: str) -> str:
    """What a session's sandbox leaves open, in words for a person; empty where it leaves nothing open."""
    isolation = sandbox.partition(",")[0]
    if isolation == NO_SANDBOX:
        return (
            "NOT SANDBOXED: what the agent runs can read and change whatever the worker's user can (home, checkout,"
            " every session), and uses the machine's own network, whatever egress was asked for"
        )
    if not sandbox.endswith(HOSTS_NETWORK):
        return ""
    reached = "what the agent runs reaches the machine's own ports, and through Temporal's every session"
    if isolation == "bubblewrap":
        return f"no network of its own, as was asked for: {reached}"
    return f"NOT FULLY SANDBOXED: no network of its own, whatever egress was asked for: {reached}"


def plainly(sandbox: str) -> str:
    """``sandbox``, with what it leaves open."""
    left = exposure(sandbox)
    return f"{sandbox} ({left})" if left else sandbox


def how_it_ended(exit_code: int | None, *, timed_out: bool) -> str:
    """How a command came to its end; one that Overnight stopped, for a limit say, has no exit code."""
    if timed_out:
        return "timed out"
    return "stopped before its end" if exit_code is None else f"exit code {exit_code}"


NOT_FOUND = 127
"""How a shell ends when a program is not there."""
NOT_EXECUTABLE = 126
"""How a shell ends when a program is there, and cannot be run."""


def did_not_run(exit_code: int | None) -> str:
    """What an exit code says of a command that never ran, in words; empty where it ran."""
    said = {
        NOT_FOUND: "a program was not found in the sandbox",
        NOT_EXECUTABLE: "a program cannot be run in the sandbox",
    }.get(exit_code or 0)
    return f"exit code {exit_code}, {said}" if said else ""


BEFORE_WORK = "ended well with no tests, before the work began: nothing is known"
"""What is said of a test suite of the base commit that has no test yet."""


class Ran(Protocol):
    """A command that was run."""

    @property
    def exit_code(self) -> int | None: ...
    @property
    def timed_out(self) -> bool: ...
    @property
    def explained(self) -> bool: ...
    @property
    def tally(self) -> Tally: ...
    @property
    def steps(self) -> Sequence[int | None]: ...


_SOURCES: dict[Source, str] = {
    "junit": "JUnit report",
    "ctrf": "CTRF report",
    "json": "JSON report",
    "text": "printed summary",
    "exit": "exit code",
}


def how_it_went(ran: Ran) -> str:
    """How a command ended and what its tests came to, with the source of the count."""
    told = [how_it_ended(ran.exit_code, timed_out=ran.timed_out), tests_told(ran)]
    return ", ".join(part for part in told if part)


def tests_told(ran: Ran) -> str:
    """``7 of 9 tests pass (JUnit report), failing: a, b``; empty for a failure of which no test is known."""
    tally = ran.tally
    if tally.source == "exit":
        return "no test was seen" if ran.exit_code == 0 else ""
    source = _SOURCES[tally.source]
    many = "test passes" if tally.ran == 1 else "tests pass"
    told = [f"{tally.passed} of {tally.ran} {many} ({source})" if tally.ran else f"NO TEST RAN ({source})"]
    if tally.skipped:
        told.append(f"{tally.skipped} skipped")
    if tally.failing:
        more = tally.failed - len(tally.failing)
        told.append(f"failing: {', '.join(tally.failing)}{f' and {more} more' if more > 0 else ''}")
    if ran.exit_code != 0 and not ran.explained and not ran.timed_out:
        told.append("not all were run, or something else failed" if tally.failed else "something else failed")
    if ran.steps:
        told.append(
            f"exit codes of its steps: {', '.join('none' if code is None else str(code) for code in ran.steps)}"
        )
    return ", ".join(told)
