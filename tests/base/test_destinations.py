"""What a session may name for its allow-list: what is taken, the worker reads."""

from __future__ import annotations

import re

import pytest

from activities.sandbox import EgressRules
from overnight.base.destinations import out_of_reach, problem_of
from overnight.base.settings import EgressMode, Settings, permits

GOOD = [
    "pkgs.dev",
    "Pkgs.dev",
    "pkgs.dev.",
    "pkgs.dev:443",
    "*.nlibs.dev",
    ".example.com",
    ".example.com:8443",
    "localhost",
    "my_host.example",
    "xn--bcher-kva.example",
    "192.0.2.7",
    "192.0.2.7:22",
    "10.0.0.0/8",
    "10.0.0.0/8:443",
    "2001:db8::1",
    "[2001:db8::1]:443",
    "2001:db8::/32",
    "[2001:db8::]/32:443",
]
BAD = [
    "",
    "two hosts",
    "a.org,b.org",
    "https://pkgs.dev/simple",
    "http://pkgs.dev",
    "https://user:pw@pkgs.dev:8443/x",
    "https:///",
    "pkgs.dev/simple",
    "git@github.com",
    "git@github.com:a/b.git",
    "*",
    "*.*.org",
    "a.*.org",
    "*pkgs.dev",
    "*.192.0.2.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "010.0.0.1",
    "-a.org",
    "a..org",
    f"{'a' * 64}.org",
    ".".join(["a" * 60] * 5),
    "a.org:0",
    "a.org:65536",
    "a.org:https",
    "[2001:db8::1",
    "[a.org]:443",
    "2001:DB8:0::1",
    "fe80::1%eth0",
    "2001:db8::g",
    "10.0.0.1/8",
    "10.0.0.0/33",
    "a\x00b",
]


@pytest.mark.parametrize("text", GOOD)
def test_destinations(text: str) -> None:
    assert problem_of(text) is None
    EgressRules("allow-list", allow=(text,))


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_destination_is_refused_in_one_line(text: str) -> None:
    problem = problem_of(text)
    assert problem
    assert problem.isprintable()
    with pytest.raises(ValueError, match=re.escape(problem)):
        EgressRules("allow-list", allow=(text,))


OPENNESS: list[EgressMode] = ["none", "allow-list", "public", "host"]


@pytest.mark.parametrize("at_most", OPENNESS)
@pytest.mark.parametrize("mode", OPENNESS)
def test_a_policy_permits_what_is_no_more_open(at_most: EgressMode, mode: EgressMode) -> None:
    permitted = OPENNESS.index(mode) <= OPENNESS.index(at_most)
    assert permits(at_most, mode) is permitted
    assert Settings(egress_at_most=at_most).allows_egress(mode) is permitted


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("10.1.2.3", "a private address"),
        ("192.168.0.0/24:443", "a private address"),
        ("172.20.0.0/16", "a private address"),
        ("169.254.1.1", "a link-local address"),
        ("fd00::1", "a private address"),
        ("localhost:8080", "this machine itself"),
        ("127.0.0.1", "this machine itself"),
        ("build.corp", "a name of a private network"),
        ("*.lan", "a name of a private network"),
        ("devpi", "a name of a private network"),
    ],
)
def test_an_entry_that_no_session_reaches_is_told_with_the_remedy(entry: str, what: str) -> None:
    (said,) = out_of_reach([entry, "pkgs.dev", "*.dev", "8.8.8.8", "2606:4700::/32", "0.0.0.0/0"], [])
    assert said.startswith(f"{entry} is {what}, and sessions reach public addresses only")
    named = f"{entry}:PORT" if entry == "127.0.0.1" else entry
    assert f"OVERNIGHT_EGRESS_EXCEPTIONS={named} (overnight down" in said


@pytest.mark.parametrize(
    ("entry", "exception", "opened"),
    [
        ("10.1.2.3:443", "10.0.0.0/8", True),
        ("10.1.2.3:443", "10.0.0.0/8:443", True),
        ("10.1.2.3", "10.0.0.0/8:443", False),
        ("10.0.0.0/8", "10.1.0.0/16", False),
        ("fd00::1", "10.0.0.0/8", False),
        ("build.corp", "build.corp", True),
        ("build.corp", "*.corp", True),
        ("*.build.corp", "build.corp", False),
        ("*.build.corp", ".corp", True),
        ("build.corp", "nonsense://", False),
        ("10.1.2.3", "build.corp", False),
        ("build.corp", "10.0.0.0/8", False),
    ],
)
def test_an_exception_of_the_installation_opens_it(entry: str, exception: str, opened: bool) -> None:
    assert (out_of_reach([entry], [exception]) == []) is opened
