"""What ``doctor`` says of the sandbox: what is in force, what it lacks, what the installation allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from activities.in_force import in_force
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
    known = Settings(home=Path("/nowhere"), **settings)
    return in_force(isolation, known, usual=known.egress)


def test_full_isolation_is_green_and_says_what_is_in_force() -> None:
    found = finding(FULL, box_memory_gb=3, box_processes=377, egress_exceptions=["packages.corp:443", "10.1.0.0/16"])
    assert (found.state, found.fix) == ("green", "")
    assert found.detail == "bubblewrap"
    network, limits = found.lines
    assert network == (
        "network: public unless a session names another, public at most; exceptions: packages.corp:443, 10.1.0.0/16"
    )
    assert "3 GB of memory, 377 processes, 512 MB of output and 20 GB of new files" in limits
    assert "240 minutes of CPU time, 16384 open files, files of 8 GB" in limits
    assert "no exceptions" in finding(FULL).lines[0]


def test_without_kernel_limits_it_is_yellow_and_says_how_to_get_them() -> None:
    found = finding(NO_KERNEL_LIMITS)
    assert found.state == "yellow"
    assert [line for line in found.lines if line.startswith("lacks: ") and "sampling" in line]
    assert "Delegate=yes" in found.fix
    assert "systemd-run --user --scope overnight up" in found.fix


@pytest.mark.parametrize(
    ("isolation", "headline", "lacks"),
    [
        (NO_NETWORK, "bubblewrap without a network of its own, NOT FULL ({}): this host gives no network namespace", 1),
        (NOTHING, "none, NOT FULL ({}): bubblewrap is not installed", 3),
    ],
)
def test_less_than_full_is_red_until_a_person_accepts_it(isolation: Isolation, headline: str, lacks: int) -> None:
    """One line of what is in force, a line for each thing that it lacks, and no word of a network that is not there."""
    refused = finding(isolation)
    assert refused.state == "red"
    assert refused.detail.startswith(headline.format("sessions refuse to run"))
    told = [line for line in refused.lines if line.startswith("lacks: ")]
    assert told == [f"lacks: {what}" for what in isolation.lacks]
    assert len(told) == lacks
    assert any("the network is the host's" in line for line in told)
    assert not any(line.startswith("network: ") for line in refused.lines)
    assert "OVERNIGHT_ALLOW_UNSANDBOXED=1" in refused.fix
    accepted = finding(isolation, allow_unsandboxed=True)
    assert accepted.state == "yellow"
    assert accepted.detail.startswith(headline.format("accepted by OVERNIGHT_ALLOW_UNSANDBOXED"))
    assert "apt install bubblewrap" in accepted.fix
    assert "OVERNIGHT_ALLOW_UNSANDBOXED" not in accepted.fix


def test_the_hosts_network_by_policy_is_yellow_and_says_what_it_exposes() -> None:
    found = finding(FULL, egress_at_most="host")
    assert found.state == "yellow"
    assert any("host at most" in line for line in found.lines)
    assert any("Temporal's among them, and with it every session" in line for line in found.lines)
    assert "OVERNIGHT_EGRESS_AT_MOST" in found.fix
    assert finding(NOTHING, egress_at_most="host").state == "red"


def test_a_default_that_is_refused_is_yellow() -> None:
    found = finding(FULL, egress_at_most="allow-list")
    assert found.state == "yellow"
    assert found.lines[0].startswith("sessions that name no network are refused")
    assert found.fix == "set OVERNIGHT_EGRESS=allow-list, too"
    assert finding(FULL, egress_at_most="none", egress="none").state == "green"


@pytest.mark.parametrize("exception", ["https://packages.corp", "127.0.0.1", "0.0.0.0/0"])
def test_exceptions_that_cannot_be_are_red(exception: str) -> None:
    found = finding(FULL, egress_exceptions=[exception])
    assert found.state == "red"
    assert found.lines[0].startswith("OVERNIGHT_EGRESS_EXCEPTIONS cannot be read")
    assert "OVERNIGHT_EGRESS_EXCEPTIONS" in found.fix


def test_what_a_running_worker_says_names_no_usual_network() -> None:
    """Whoever starts a session chooses that, by the settings of its own process."""
    known = Settings(home=Path("/nowhere"), egress="public", egress_at_most="none")
    found = in_force(FULL, known, usual=None)
    assert (found.state, found.lines[0]) == ("green", "network: none at most; no exceptions")


def test_folders_that_give_too_much_away_or_are_not_there_are_red(tmp_path: Path) -> None:
    found = finding(FULL, sandbox_readable=[Path.home(), tmp_path / "gone"])
    assert found.state == "red"
    assert f"OVERNIGHT_SANDBOX_READABLE: {Path.home()} holds or belongs to the home folder" in found.lines[0]
    assert f"{tmp_path / 'gone'} is no folder" in found.lines[1]
    assert found.fix == "correct OVERNIGHT_SANDBOX_READABLE, or unset it"
    assert finding(FULL, sandbox_readable=[tmp_path]).state == "green"


def test_limits_that_no_work_fits_into_are_yellow() -> None:
    found = finding(FULL, box_cpu_minutes=0.1)
    assert found.state == "yellow"
    assert found.lines[0].startswith("OVERNIGHT_BOX_CPU_MINUTES=0.1 is very little")
