"""What a session may name for its allow-list: every refusal says what to write, and the worker reads all the rest."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activities.sandbox import EgressRules
from overnight.base.destinations import problem_of
from overnight.base.settings import EgressMode, Settings, permits

GOOD = [
    "pypi.org",
    "PyPI.org",
    "pypi.org.",
    "pypi.org:443",
    "*.npmjs.org",
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
    ("", "one entry names one destination"),
    ("two hosts", "without spaces"),
    ("a.org,b.org", "without spaces or commas"),
    ("https://pypi.org/simple", "this is a URL: give the host, pypi.org"),
    ("http://pypi.org", "this is a URL: give the host, pypi.org:80"),
    ("https://user:pw@pypi.org:8443/x", "give the host, pypi.org:8443"),
    ("https:///", "give the host alone"),
    ("pypi.org/simple", "a path has no place here: give the host alone"),
    ("git@github.com", "a user has no place here"),
    ("git@github.com:a/b.git", "a user has no place here"),
    ("bücher.example", "xn--"),
    ("*", "every host is the egress 'public'"),
    ("*.*.org", "a star stands only in front"),
    ("a.*.org", "a star stands only in front"),
    ("*pypi.org", "a star stands only in front"),
    ("*.192.0.2.1", "nothing is below an address"),
    ("127.1", "neither a host name nor an address"),
    ("0x7f000001", "neither a host name nor an address"),
    ("2130706433", "neither a host name nor an address"),
    ("010.0.0.1", "neither a host name nor an address"),
    ("-a.org", "neither a host name nor an address"),
    ("a..org", "neither a host name nor an address"),
    (f"{'a' * 64}.org", "neither a host name nor an address"),
    (".".join(["a" * 60] * 5), "neither a host name nor an address"),
    ("a.org:0", "the port is a number from 1 to 65535"),
    ("a.org:65536", "the port is a number from 1 to 65535"),
    ("a.org:https", "the port is a number from 1 to 65535"),
    ("[2001:db8::1", "brackets go around an IPv6 address"),
    ("[a.org]:443", "brackets go around an IPv6 address"),
    ("2001:DB8:0::1", "odd spelling: give 2001:db8::1"),
    ("fe80::1%eth0", "an address with a zone"),
    ("2001:db8::g", "this is not an IPv6 address"),
    ("10.0.0.1/8", "give 10.0.0.0/8"),
    ("10.0.0.0/33", "this is no network"),
    ("a\x00b", "neither a host name nor an address"),
]


@pytest.mark.parametrize("text", GOOD)
def test_destinations(text: str) -> None:
    assert problem_of(text) is None
    EgressRules("allow-list", allow=(text,))


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_is_no_destination_is_refused_with_what_to_write(text: str, words: str) -> None:
    assert words in (problem_of(text) or "")
    assert (problem_of(text) or "").count("\n") == 0


@given(st.text("aZ09.*:/[]-_%@ xf,", max_size=24) | st.text(max_size=12))
@example("1.2.3.4.")
@example("::ffff:1.2.3.4")
@example("[::1]")
@example("1.2.3.0x4")
@example("::/0")
def test_the_worker_can_read_whatever_is_taken(text: str) -> None:
    if problem_of(text.strip()) is None:
        EgressRules("allow-list", allow=(text.strip(),))


OPENNESS: list[EgressMode] = ["none", "allow-list", "public", "host"]


@pytest.mark.parametrize("at_most", OPENNESS)
@pytest.mark.parametrize("mode", OPENNESS)
def test_a_policy_permits_what_is_no_more_open(at_most: EgressMode, mode: EgressMode) -> None:
    permitted = OPENNESS.index(mode) <= OPENNESS.index(at_most)
    assert permits(at_most, mode) is permitted
    assert Settings(egress_at_most=at_most).allows_egress(mode) is permitted
