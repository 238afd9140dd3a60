"""Lists of destinations: what is read, what is refused in words, and what they let through."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.sandbox.egress import EgressRules
from overnight.base.destinations import Target, read_entry, read_host, read_target


def listed(entry: str, target: str) -> bool:
    return EgressRules("allow-list", (entry,)).before_lookup(read_target(target)) is None


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        (
            "pkgs.dev",
            ["pkgs.dev:443", "Pkgs.dev.:80"],
            ["www.pkgs.dev:443", "pkgs.dev.evil.net:443", "notpkgs.dev:443"],
        ),
        ("Pkgs.Dev.", ["pkgs.dev:443"], ["dev:443"]),
        ("pkgs.dev:443", ["pkgs.dev:443"], ["pkgs.dev:80", "www.pkgs.dev:443"]),
        ("*.nlibs.dev", ["registry.nlibs.dev:443", "a.b.nlibs.dev:1"], ["nlibs.dev:443", "evilnlibs.dev:443"]),
        ("*.nlibs.dev:443", ["registry.nlibs.dev:443"], ["registry.nlibs.dev:80"]),
        (".example.com", ["example.com:443", "a.example.com:80"], ["evilexample.com:443", "example.com.evil.net:1"]),
        ("bücher.example", ["xn--bcher-kva.example:443"], ["bucher.example:443"]),
        ("faß.example", ["xn--fa-hia.example:443"], ["fass.example:443"]),
        ("93.184.216.34", ["93.184.216.34:443", "0x5db8d822:80"], ["93.184.216.35:443", "pkgs.dev:443"]),
        ("93.184.216.34:443", ["93.184.216.34:443"], ["93.184.216.34:80"]),
        ("93.184.216.0/24", ["93.184.216.1:443"], ["93.184.217.1:443", "pkgs.dev:443"]),
        ("93.184.216.0/24:443", ["93.184.216.1:443"], ["93.184.216.1:80"]),
        ("2606:4700::/32", ["[2606:4700::1]:443"], ["[2606:4701::1]:443"]),
        ("[2606:4700::]/32:443", ["[2606:4700::1]:443"], ["[2606:4700::1]:80"]),
        ("2606:4700::1", ["[2606:4700:0::1]:443"], ["[2606:4700::2]:443"]),
        ("[2606:4700::1]:443", ["[2606:4700::1]:443"], ["[2606:4700::1]:80"]),
    ],
)
def test_an_entry_means_what_it_says(entry: str, inside: list[str], outside: list[str]) -> None:
    assert all(listed(entry, target) for target in inside)
    assert not any(listed(entry, target) for target in outside)


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("https://pkgs.dev/simple", "write pkgs.dev:443"),
        ("http://pkgs.dev", "write pkgs.dev:80"),
        ("https://user:word@pkgs.dev:8443/x", "write pkgs.dev:8443"),
        ("pkgs.dev/simple", "a path has no place"),
        ("pkgs.dev,nlibs.dev", "several entries"),
        ("pkgs.dev nlibs.dev", "several entries"),
        ("user@pkgs.dev", "host alone"),
        ("*", "mode 'public'"),
        ("*:443", "mode 'public'"),
        ("pypi.*", "a star stands in front"),
        ("*pkgs.dev", "a star stands in front"),
        ("a.*.org", "a star stands in front"),
        ("pkgs.dev:", "the port is a number"),
        ("pkgs.dev:0", "the port is a number"),
        ("pkgs.dev:65536", "the port is a number"),
        ("pkgs.dev:https", "the port is a number"),
        ("pkgs.dev:\u0664\u0664\u0663", "the port is a number"),
        ("", "not a host"),
        (".", "not a host"),
        ("*.", "not a host"),
        ("pypi..org", "neither a host name"),
        ("-pkgs.dev", "neither a host name"),
        ("pkgs.dev\x00", "not a host"),
        ("a" * 64 + ".org", "neither a host name"),
        ("a." * 200 + "org", "not a host"),
        ("127.1", "write 127.0.0.1"),
        ("0x7f000001", "write 127.0.0.1"),
        ("08.8.8.8", "neither a host name"),
        ("10.0.0.5/8", "write 10.0.0.0/8"),
        ("10.0.0.0/33", "this is no network"),
        ("10.0.0.0/255.0.0.0", "a path has no place"),
        ("[2001:db8::1", "brackets go around"),
        ("[pkgs.dev]:443", "brackets go around"),
        ("2606:4700::zz", "not an IPv6 address"),
        ("fe80::1%eth0", "link-local"),
        ("*.93.184.216.34", "nothing is below an address"),
        ("\u202epkgs.dev", "host"),
        ("☃" * 80 + ".org", "host"),
    ],
)
def test_nonsense_is_refused_in_words(entry: str, hint: str) -> None:
    with pytest.raises(ValueError, match="is no destination") as of_session:
        EgressRules("allow-list", (entry,))
    with pytest.raises(ValueError, match="is no destination") as of_installation:
        EgressRules("public", (), (entry,))
    assert str(of_session.value) == str(of_installation.value)
    assert hint in str(of_session.value)
    assert len(str(of_session.value)) < 400


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("0.0.0.0/0", "opens more than"),
        ("::/0", "opens more than"),
        ("8.0.0.0/7", "opens more than"),
        ("169.254.169.254", "a cloud metadata address"),
        ("0.0.0.0:80", "the unspecified address"),
        ("127.0.0.1", "write 127.0.0.1:PORT"),
        ("127.0.0.0/8", "write 127.0.0.0/8:PORT"),
    ],
)
def test_an_exception_that_opens_too_much_is_refused(entry: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r"opens more|nothing opens it|opens all of Overnight") as caught:
        EgressRules("public", (), (entry,))
    assert hint in str(caught.value)


def reason(rules: EgressRules, target: str, *addresses: str) -> str:
    """Why ``target``, which leads to ``addresses``, is refused; empty when it is not."""
    aim = read_target(target)
    refusal = rules.before_lookup(aim)
    if refusal is None:
        found = [ip_address(a) for a in addresses] if addresses else [a for a in [aim.address] if a]
        refusal = rules.after_lookup(aim, found)
    return refusal.reason if refusal else ""


PUBLIC, PRIVATE, LOCAL, METADATA = "93.184.216.34", "10.1.2.3", "127.0.0.1", "169.254.169.254"


@pytest.mark.parametrize(
    ("rules", "target", "leads_to", "said"),
    [
        (EgressRules("public"), "pkgs.dev:443", [PUBLIC], ""),
        (EgressRules("public"), "pkgs.dev:443", [PUBLIC, PRIVATE], "a private address"),
        (EgressRules("public"), "pkgs.dev:443", [LOCAL, PUBLIC], "a loopback address"),
        (EgressRules("public"), f"{PRIVATE}:80", [], "a private address"),
        (EgressRules("public"), "pkgs.dev:25", [PUBLIC], "port 25 sends mail"),
        (EgressRules("public"), f"{PUBLIC}:25", [], "port 25 sends mail"),
        (EgressRules("public"), f"{PUBLIC}:22", [], ""),
        (EgressRules("none"), "pkgs.dev:443", [PUBLIC], "this session has no network"),
        (EgressRules("none", (), ("index.corp",)), "index.corp:443", [PRIVATE], "this session has no network"),
        (EgressRules("allow-list", ("pkgs.dev",)), "pkgs.dev:443", [PUBLIC], ""),
        (EgressRules("allow-list", ("pkgs.dev",)), "pkgs.dev:443", [LOCAL], "a loopback address"),
        (EgressRules("allow-list", ("pkgs.dev",)), "pkgs.dev:443", [METADATA], "a cloud metadata address"),
        (EgressRules("allow-list", ("pkgs.dev",)), "evil.net:443", [PUBLIC], "not on this session's allow-list"),
        (EgressRules("allow-list", ("pkgs.dev",)), f"{PUBLIC}:443", [], "not on this session's allow-list"),
        (EgressRules("allow-list", (f"{PRIVATE}",)), f"{PRIVATE}:443", [], "a private address"),
        (EgressRules("allow-list", ("pkgs.dev:25",)), "pkgs.dev:25", [PUBLIC], "port 25 sends mail"),
        (EgressRules("allow-list", (), ("index.corp",)), "index.corp:443", [PRIVATE], ""),
        (EgressRules("allow-list", ("index.corp",), ("10.0.0.0/8",)), "index.corp:443", [PRIVATE], ""),
        (
            EgressRules("allow-list", (), ("10.0.0.0/8",)),
            "index.corp:443",
            [PRIVATE],
            "not on this session's allow-list",
        ),
        (EgressRules("allow-list", (), ("10.0.0.0/8",)), f"{PRIVATE}:80", [], ""),
        (EgressRules("public", (), ("index.corp",)), "index.corp:443", [PRIVATE], ""),
        (EgressRules("public", (), ("index.corp:443",)), "index.corp:80", [PRIVATE], "a private address"),
        (EgressRules("public", (), ("index.corp",)), "other.corp:443", [PRIVATE], "a private address"),
        (EgressRules("public", (), ("index.corp",)), f"{PRIVATE}:443", [], "a private address"),
        (EgressRules("public", (), ("10.0.0.0/8",)), "index.corp:443", [PRIVATE], ""),
        (EgressRules("public", (), ("10.0.0.0/8",)), "index.corp:443", [PRIVATE, "192.168.1.1"], "a private address"),
        (EgressRules("public", (), ("10.0.0.0/8:443",)), f"{PRIVATE}:80", [], "a private address"),
        (EgressRules("public", (), (f"{PRIVATE}:443",)), f"{PRIVATE}:443", [], ""),
        (EgressRules("public", (), ("mail.corp:25",)), "mail.corp:25", [PRIVATE], ""),
        (EgressRules("public", (), ("mail.corp",)), "mail.corp:25", [PRIVATE], "port 25 sends mail"),
        # This machine: only with a port.
        (EgressRules("public", (), ("127.0.0.1:3141",)), "127.0.0.1:3141", [], ""),
        (EgressRules("public", (), ("127.0.0.1:3141",)), "127.0.0.1:7233", [], "a loopback address"),
        (EgressRules("public", (), ("index.corp",)), "index.corp:7233", [LOCAL], "a loopback address"),
        (EgressRules("public", (), ("index.corp:443",)), "index.corp:443", [LOCAL], ""),
        # Metadata: never.
        (EgressRules("public", (), ("169.254.0.0/16",)), f"{METADATA}:80", [], "a cloud metadata address"),
        (EgressRules("public", (), ("169.254.0.0/16",)), "169.254.1.1:80", [], ""),
        (EgressRules("public", (), ("index.corp:80",)), "index.corp:80", [METADATA], "a cloud metadata address"),
        (EgressRules("public", (), ("fd00::/8",)), "[fd00:ec2::254]:80", [], "a cloud metadata address"),
        # A gateway to IPv4 that the installation opened.
        (EgressRules("public", (), ("64:ff9b::/96",)), "pkgs.dev:443", ["64:ff9b::5db8:d822"], ""),
        (
            EgressRules("public", (), ("64:ff9b::/96",)),
            "evil.net:80",
            ["64:ff9b::a9fe:a9fe"],
            "a cloud metadata address",
        ),
        (EgressRules("public", (), ("64:ff9b::/96",)), "evil.net:80", ["64:ff9b::a01:203"], "a private address"),
    ],
)
def test_who_may_go_where(rules: EgressRules, target: str, leads_to: list[str], said: str) -> None:
    assert reason(rules, target, *leads_to) == said


def test_every_refusal_says_what_to_do() -> None:
    rules = EgressRules("allow-list", ("pkgs.dev",))
    unlisted = rules.before_lookup(Target("evil.net", 443))
    assert unlisted
    assert "The person who started the session can add it" in unlisted.advice
    private = rules.after_lookup(Target("pkgs.dev", 443), [ip_address(PRIVATE)])
    assert private
    assert "OVERNIGHT_EGRESS_EXCEPTIONS" in private.advice
    local = rules.after_lookup(Target("pkgs.dev", 443), [ip_address(LOCAL)])
    assert local
    assert "NO_PROXY" in local.advice


@given(st.text(max_size=300))
def test_a_host_is_read_or_refused_in_words(text: str) -> None:
    try:
        name, address = read_host(text)
    except ValueError:
        return
    assert name.isascii()
    assert len(name) <= 300
    assert (address is not None) is (":" in name or name.replace(".", "").isdigit())
    # What was read once is read the same again: no second reader sees another host.
    assert read_host(name) == (name, address)


@given(st.text(max_size=300))
def test_an_entry_is_read_or_refused_in_words(text: str) -> None:
    try:
        entry = read_entry(text)
    except ValueError:
        return
    assert entry.name or entry.network


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "a",
        "a:",
        "a:b",
        "a:0",
        "a:99999",
        "::1:80",
        "[::1:80",
        "[]:80",
        "[::1]80",
        "a b:80",
        "a\x7f:80",
        "*:80",
    ],
)
def test_a_destination_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_target(text)
