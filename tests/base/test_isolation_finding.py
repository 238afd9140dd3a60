"""What ``doctor`` says of the sandbox: what is in force, what it lacks, what the installation allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from activities.check import _isolation
from activities.sandbox import Isolation
from activities.sandbox.cgroup import Cgroups
from overnight.base.examination import Finding
from overnight.base.settings import Settings

BWRAP = Path("/usr/bin/bwrap")
KERNEL = Cgroups(2, ())
FULL = Isolation(BWRAP, cgroups=KERNEL)
NO_KERNEL_LIMITS = Isolation(BWRAP)
NO_NETWORK = Isolation(BWRAP, "this host gives no network namespace: EPERM", False, KERNEL)
NOTHING = Isolation(None, "bubblewrap is not installed", False)


def finding(isolation: Isolation, **settings: Any) -> Finding:
    return _isolation(isolation, Settings(home=Path("/nowhere"), **settings))


def test_full_isolation_is_green_and_says_what_is_in_force() -> None:
    found = finding(FULL, box_memory_gb=3, box_processes=77, egress_exceptions=["packages.corp:443", "10.1.0.0/16"])
    assert (found.state, found.fix) == ("green", "")
    for words in (
        "bubblewrap; network: public unless a session names another, public at most",
        "exceptions: packages.corp:443, 10.1.0.0/16",
        "3 GB of memory, 77 processes, 512 MB of output and 20 GB of new files",
        "240 minutes of CPU time, 16384 open files, files of 8 GB",
    ):
        assert words in found.detail
    assert "no exceptions" in finding(FULL).detail
    assert "NOT FULL" not in found.detail


def test_without_kernel_limits_it_is_yellow_and_says_how_to_get_them() -> None:
    found = finding(NO_KERNEL_LIMITS)
    assert found.state == "yellow"
    assert "sampling" in found.detail
    assert "Delegate=yes" in found.fix
    assert "systemd-run --user --scope overnight up" in found.fix


@pytest.mark.parametrize(
    ("isolation", "words"),
    [
        (NO_NETWORK, "bubblewrap without a network of its own; NOT FULL: this host gives no network namespace: EPERM"),
        (NOTHING, "none; NOT FULL: bubblewrap is not installed; commands see and may change"),
    ],
)
def test_less_than_full_is_red_until_a_person_accepts_it(isolation: Isolation, words: str) -> None:
    refused = finding(isolation)
    assert refused.state == "red"
    assert words in refused.detail
    assert "the network is the host's" in refused.detail
    assert "OVERNIGHT_ALLOW_UNSANDBOXED=1" in refused.fix
    accepted = finding(isolation, allow_unsandboxed=True)
    assert accepted.state == "yellow"
    assert words in accepted.detail
    assert "apt install bubblewrap" in accepted.fix
    assert "OVERNIGHT_ALLOW_UNSANDBOXED" not in accepted.fix


def test_the_hosts_network_by_policy_is_yellow_and_says_what_it_exposes() -> None:
    found = finding(FULL, egress_at_most="host")
    assert found.state == "yellow"
    assert "host at most" in found.detail
    assert "Temporal's among them, and with it every session" in found.detail
    assert "OVERNIGHT_EGRESS_AT_MOST" in found.fix
    assert finding(NOTHING, egress_at_most="host").state == "red"


def test_a_default_that_is_refused_is_yellow() -> None:
    found = finding(FULL, egress_at_most="allow-list")
    assert found.state == "yellow"
    assert "sessions that name no network are refused" in found.detail
    assert found.fix == "set OVERNIGHT_EGRESS=allow-list, too"
    assert finding(FULL, egress_at_most="none", egress="none").state == "green"


@pytest.mark.parametrize("exception", ["https://packages.corp", "127.0.0.1", "0.0.0.0/0"])
def test_exceptions_that_cannot_be_are_red(exception: str) -> None:
    found = finding(FULL, egress_exceptions=[exception])
    assert found.state == "red"
    assert "OVERNIGHT_EGRESS_EXCEPTIONS cannot be read" in found.detail
    assert "OVERNIGHT_EGRESS_EXCEPTIONS" in found.fix
