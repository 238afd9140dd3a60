"""Words that the workflow and its clients share: how many of something, and what a sandbox keeps and does not."""

from __future__ import annotations

from collections.abc import Sequence

NO_SANDBOX = "none"
"""The name of an isolation that is none."""
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
