"""Which addresses are public, however they are written."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from activities.sandbox.egress import addresses
from activities.sandbox.egress.addresses import Machine, Nature, NotPublic, not_public
from overnight.base.destinations import Address, read_host

UNSPECIFIED = "0.0.0.0"  # noqa: S104 (nothing is bound)
NOWHERE = Machine(frozenset(), ())

REFUSED = [
    ("127.0.0.1", "a loopback address"),
    ("127.255.255.254", "a loopback address"),
    ("::1", "a loopback address"),
    ("10.0.0.1", "a private address"),
    ("172.16.0.1", "a private address"),
    ("172.31.255.255", "a private address"),
    ("192.168.1.1", "a private address"),
    ("fc00::1", "a private address"),
    ("fdff:ffff::1", "a private address"),
    ("fec0::1", "a private address"),
    ("100.64.0.1", "a private address of a carrier"),
    ("100.127.255.255", "a private address of a carrier"),
    ("169.254.1.1", "a link-local address"),
    ("fe80::1", "a link-local address"),
    ("fe80::1%eth0", "a link-local address"),
    ("2606:4700::1111%eth0", "a link-local address"),
    ("169.254.169.254", "a cloud metadata address"),
    ("169.254.170.2", "a cloud metadata address"),
    ("100.100.100.200", "a cloud metadata address"),
    ("168.63.129.16", "a cloud metadata address"),
    ("192.0.0.192", "a cloud metadata address"),
    ("fd00:ec2::254", "a cloud metadata address"),
    ("fd20:ce::254", "a cloud metadata address"),
    (UNSPECIFIED, "the unspecified address"),
    ("::", "the unspecified address"),
    ("0.1.2.3", "a reserved address"),
    ("224.0.0.1", "a multicast address"),
    ("224.0.1.1", "a multicast address"),
    ("239.255.255.250", "a multicast address"),
    ("ff02::1", "a multicast address"),
    ("ff0e::1", "a multicast address"),
    ("255.255.255.255", "the broadcast address"),
    ("240.0.0.1", "a reserved address"),
    ("192.0.0.8", "a reserved address"),
    ("192.0.0.9", "a reserved address"),
    ("192.0.2.1", "a documentation address"),
    ("198.51.100.1", "a documentation address"),
    ("203.0.113.1", "a documentation address"),
    ("2001:db8::1", "a documentation address"),
    ("3fff::1", "a documentation address"),
    ("198.18.0.1", "a benchmarking address"),
    ("198.19.255.255", "a benchmarking address"),
    ("2001:2::1", "a benchmarking address"),
    ("192.88.99.1", "an IPv6 transition address"),
    ("2002:7f00:1::1", "an IPv6 transition address"),
    ("2002:5db8:d822::1", "an IPv6 transition address"),
    ("2001::1", "an IPv6 transition address"),
    ("2001:0:5db8:d822::1", "an IPv6 transition address"),
    ("2001:20::1", "a reserved address"),
    ("100::1", "a reserved address"),
    ("4000::1", "a reserved address"),
    ("5f00::1", "a reserved address"),
    ("::ffff:127.0.0.1", "a loopback address"),
    ("::ffff:7f00:1", "a loopback address"),
    ("::ffff:169.254.169.254", "a cloud metadata address"),
    ("::ffff:93.184.216.34", "an IPv4 address inside an IPv6 address"),
    ("::127.0.0.1", "a loopback address"),
    ("::93.184.216.34", "an IPv4 address inside an IPv6 address"),
    ("::ffff:0:10.0.0.1", "a private address"),
    ("64:ff9b::10.0.0.1", "a private address"),
    ("64:ff9b::169.254.169.254", "a cloud metadata address"),
    ("64:ff9b::93.184.216.34", "an IPv4 address inside an IPv6 address"),
    ("64:ff9b:1::93.184.216.34", "an IPv4 address inside an IPv6 address"),
]
PUBLIC = [
    "93.184.216.34",
    "8.8.8.8",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "169.253.1.1",
    "2606:4700::1111",
    "2a00::1",
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_is_not_public_is_told(text: str, reason: str) -> None:
    verdict = not_public(ip_address(text), NOWHERE)
    assert verdict
    assert verdict.reason == reason


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_public_is_let_through(text: str) -> None:
    assert not_public(ip_address(text), NOWHERE) is None


@pytest.mark.parametrize(
    ("spelling", "usual"),
    [
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0x7F.0X0.0x0.0x1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("0", UNSPECIFIED),
        ("2852039166", "169.254.169.254"),
        ("0251.0376.0251.0376", "169.254.169.254"),
        ("169.254.43518", "169.254.169.254"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("\u2460\u2461\u2466\u30020.0.1", "127.0.0.1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("0000:0000::0001", "::1"),
        ("::FFFF:7F00:1", "::ffff:7f00:1"),
        ("FE80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_an_odd_spelling_is_the_address_that_it_means(spelling: str, usual: str) -> None:
    name, address = read_host(spelling)
    assert address == ip_address(usual)
    assert name == str(address)
    assert not_public(address, NOWHERE)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{:d}", "0x{:x}", "0{:o}"]))
@example(0x7F000001, "{:d}")
def test_any_number_that_the_system_takes_for_an_address_is_one(number: int, form: str) -> None:
    text = form.format(number)
    try:
        meant = socket.inet_aton(text)
    except OSError:
        return
    assert read_host(text)[1] == IPv4Address(meant)


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(ADDRESSES)
def test_whatever_is_not_global_is_refused(address: Address) -> None:
    if not address.is_global or address.is_multicast or address.is_private or address.is_reserved:
        assert not_public(address, NOWHERE)


@given(st.ip_addresses(v=4))
def test_ipv6_is_no_way_round_a_refused_address(address: IPv4Address) -> None:
    for prefix in ("::ffff:0:0", "::", "64:ff9b::", "64:ff9b:1::", "::ffff:0:0:0"):
        assert not_public(IPv6Address(int(ip_address(prefix)) | int(address)), NOWHERE)
    assert not_public(IPv6Address(0x2002 << 112 | int(address) << 80 | 1), NOWHERE)
    assert not_public(IPv6Address(0x20010000 << 96 | 0xFFFFFFFF ^ int(address)), NOWHERE)


@given(st.ip_addresses(v=4))
def test_an_opened_gateway_leads_to_public_addresses_only(address: IPv4Address) -> None:
    """NAT64 may be an installation's exception; what it hides must not be opened with it."""
    verdict = not_public(IPv6Address(int(ip_address("64:ff9b::")) | int(address)), NOWHERE)
    assert verdict
    assert (verdict.nature is Nature.NEVER) is (not_public(address, NOWHERE) is not None)


def test_this_machine_is_refused_at_public_addresses_too() -> None:
    machine = Machine(frozenset({ip_address("93.184.216.34"), ip_address("2606:4700::1")}), ())
    for text in ("93.184.216.34", "2606:4700::1"):
        assert not_public(ip_address(text), machine) == NotPublic("this machine's own address", Nature.MACHINE)
    assert not_public(ip_address("93.184.216.35"), machine) is None


@pytest.fixture
def interfaces(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[SimpleNamespace]]:
    """What the system says of its interfaces, looked up anew each time."""
    found: dict[str, list[SimpleNamespace]] = {}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)
    monkeypatch.setattr(addresses, "OWN_SECONDS", -1.0)
    monkeypatch.setattr(addresses, "_known", None)
    return found


def test_the_machines_own_addresses_are_looked_up(interfaces: dict[str, list[SimpleNamespace]]) -> None:
    address = ip_address("93.184.216.34")
    assert not_public(address) is None
    interfaces["eth0"] = [
        SimpleNamespace(address="02:fc:00:00:00:01", netmask=None),
        SimpleNamespace(address="93.184.216.34", netmask="255.255.255.0"),
        SimpleNamespace(address="2a01:1:2:3::7%eth0", netmask="ffff:ffff:ffff:ffff::"),
        SimpleNamespace(address="51.1.2.3", netmask="128.0.0.0"),
    ]
    told = {t: not_public(ip_address(t)) for t in ("93.184.216.34", "93.184.216.99", "2a01:1:2:3::7", "2a01:1:2:3::9")}
    assert [verdict and verdict.reason for verdict in told.values()] == [
        "this machine's own address",
        "an address in this machine's own network",
        "this machine's own address",
        "an address in this machine's own network",
    ]
    for text in ("93.184.217.1", "2a01:1:2:4::1", "52.0.0.1"):
        assert not_public(ip_address(text)) is None


def test_they_are_remembered_for_a_moment(
    interfaces: dict[str, list[SimpleNamespace]], monkeypatch: pytest.MonkeyPatch
) -> None:
    not_public(ip_address("93.184.216.34"))
    monkeypatch.setattr(addresses, "OWN_SECONDS", 60.0)
    interfaces["eth0"] = [SimpleNamespace(address="93.184.216.34", netmask="255.255.255.0")]
    assert not_public(ip_address("93.184.216.34")) is None
    monkeypatch.setattr(addresses, "OWN_SECONDS", -1.0)
    assert not_public(ip_address("93.184.216.34"))


def test_every_interface_of_this_very_machine_counts() -> None:
    own = {
        e.address for entries in psutil.net_if_addrs().values() for e in entries if e.family.name.startswith("AF_INET")
    }
    assert own
    assert all(not_public(ip_address(text)) for text in own)
