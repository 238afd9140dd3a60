"""The door of the server over HTTP: who is let in, and what everybody else is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from overnight.errors import InvalidRequestError, NotReadyError
from overnight.mcp import http
from overnight.mcp.access import scope_of_method
from overnight.mcp.guard import Address
from overnight.mcp.tokens import Registry
from tests.mcp.over_http import LIST, caller, given, served, settings_of, token_of, words_of

READ = token_of("ada", "read")


async def test_anybody_may_ask_whether_it_is_up_and_learns_nothing_else(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, mcp_tokens=given(("ada", "read")))) as up:
        async with caller() as client:
            for host in (None, "10.0.0.7", "balancer.example"):
                answer = await client.get(up.url.replace("/mcp", "/health"), headers={"Host": host} if host else {})
                assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
                assert "server" not in answer.headers
            head = await client.head(up.url.replace("/mcp", "/health"))
            assert (head.status_code, head.content) == (200, b"")
            for path in ("/", "/mcp/", "/docs", "/.well-known/oauth-protected-resource", "/health/x"):
                assert (await client.get(up.url.replace("/mcp", path))).status_code == 404


async def test_a_foreign_name_is_refused(tmp_path: Path) -> None:
    """A page of evil.example, whose name was led to 127.0.0.1, would send it."""
    async with served(settings_of(tmp_path)) as up:
        here = up.port
        foreign = ("evil.example", f"evil.example:{here}", f"127.0.0.1.evil.example:{here}", f"10.0.0.7:{here}")
        for host in (*foreign, "localhost", "127.0.0.1:1"):
            refused = await up.post(Host=host)
            assert refused.status_code == 421, host
            assert "OVERNIGHT_MCP_HOSTS" in words_of(refused)
        for own in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
            assert (await up.post(Host=f"{own}:{up.port}")).status_code == 200


async def test_two_names_at_once_are_refused(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path)) as up:
        body = json.dumps(LIST)
        for second in ("Host: evil.example\r\n", ""):
            reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
            first = f"Host: 127.0.0.1:{up.port}\r\n" if second else ""
            head = f"POST /mcp HTTP/1.0\r\n{first}{second}Content-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            line = await asyncio.wait_for(reader.readline(), 120)
            assert line.split()[1] in {b"400", b"421"}
            writer.close()


async def test_a_page_of_another_origin_is_refused(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path)) as up:
        own = f"127.0.0.1:{up.port}"
        for origin in ("http://evil.example", f"https://{own}", "http://127.0.0.1:1", "http://localhost", "null", "x"):
            refused = await up.post(Origin=origin)
            assert (refused.status_code, "Web pages" in words_of(refused)) == (403, True)
            assert "access-control-allow-origin" not in refused.headers
        assert (await up.post(Origin=f"http://localhost:{up.port}")).status_code == 200


async def test_names_and_origins_can_be_added(tmp_path: Path) -> None:
    page = "https://tools.example.com"
    names = {"mcp_hosts": ["overnight.example.com"], "mcp_origins": [page]}
    async with served(settings_of(tmp_path, mcp_tokens=given(("ada", "read")), **names)) as up:
        for host in ("overnight.example.com", "Overnight.example.com:8443"):
            of_page = await up.post(token=READ, Host=host, Origin=page)
            assert (of_page.status_code, of_page.headers["access-control-allow-origin"]) == (200, page)
            own = await up.post(token=READ, Host=host, Origin="https://overnight.example.com")
            assert (own.status_code, own.headers.get("access-control-allow-origin")) == (200, None)
        unknown = await up.post(Origin=page)
        assert (unknown.status_code, unknown.headers["access-control-allow-origin"]) == (401, page)
        async with caller() as client:
            asked = await client.options(up.url, headers={"Origin": page, "Access-Control-Request-Method": "POST"})
            assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (200, "POST")
            assert "Authorization" in asked.headers["access-control-allow-headers"]
        assert (await up.post(Host="other.overnight.example.com")).status_code == 421
        assert (await up.post(Host="overnight.example.com.evil.example")).status_code == 421


def test_who_listens_everywhere_answers_to_numbers_and_to_given_names() -> None:
    everywhere = Address("0.0.0.0", 8808, loopback=False, others=("Build.Example.com",))  # noqa: S104
    assert everywhere.is_called("10.1.2.3:8808")
    assert everywhere.is_called("[fe80::1]:8808")
    assert everywhere.is_called("build.example.com")
    assert everywhere.is_called("BUILD.example.com:8443")
    assert not everywhere.is_called("evil.example:8808")
    assert not everywhere.is_called("")
    one = Address("10.1.2.3", 8808, loopback=False)
    assert one.is_called("10.1.2.3:8808")
    assert not one.is_called("10.1.2.4:8808")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.255.255.1", "build.example.com"])  # noqa: S104
def test_it_listens_beyond_this_machine_only_with_tokens(tmp_path: Path, host: str) -> None:
    with pytest.raises(NotReadyError, match=r"refusing to listen: .* is reached from other machines, and nobody has"):
        http.listen(settings_of(tmp_path), host, 0)


def test_a_name_for_others_needs_tokens_too(tmp_path: Path) -> None:
    """A proxy in front comes from loopback, and carries the calls of all the world."""
    with pytest.raises(NotReadyError, match="OVERNIGHT_MCP_HOSTS lets other machines come"):
        http.listen(settings_of(tmp_path, mcp_hosts=["overnight.example.com"]), "127.0.0.1", 0)
    listener, address = http.listen(settings_of(tmp_path, mcp_hosts=["localhost:9000", "127.0.0.1"]), "127.0.0.1", 0)
    listener.close()
    assert address.private


def test_it_does_not_listen_for_tokens_that_nobody_has(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registry = Registry(settings)
    registry.add("ada", ["read"])
    listener, address = http.listen(settings, "0.0.0.0", 0)  # noqa: S104
    listener.close()
    assert not address.loopback
    registry.revoke("ada")
    for host in ("0.0.0.0", "127.0.0.1"):  # noqa: S104
        with pytest.raises(NotReadyError, match="refusing to listen"):
            http.listen(settings, host, 0)


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    listener, address = http.listen(settings_of(tmp_path), "localhost", 0)
    with listener, pytest.raises(InvalidRequestError, match=f"port {address.port} of 127.0.0.1 is taken"):
        http.listen(settings_of(tmp_path), "127.0.0.1", address.port)


@pytest.mark.parametrize("host", ["ü" * 70, "a" * 300, "256.1.1.1", "127.0.0.1:99", "a b"])
def test_a_name_that_is_none_is_told(tmp_path: Path, host: str) -> None:
    with pytest.raises(InvalidRequestError, match="cannot listen on "):
        http.listen(settings_of(tmp_path, mcp_tokens=given(("ada", "read"))), host, 0)


@pytest.mark.parametrize("added", ["X-Forwarded-For", "x-real-ip", "Forwarded", "Via", "X-Forwarded-Host"])
async def test_what_a_proxy_hands_on_needs_a_token_though_it_comes_from_this_machine(
    tmp_path: Path, added: str
) -> None:
    async with served(settings_of(tmp_path)) as up:
        refused = await up.post(**{added: "203.0.113.7"})
        assert (refused.status_code, "came through a proxy" in words_of(refused)) == (403, True)
        assert (await up.post()).status_code == 200
    async with served(settings_of(tmp_path, mcp_tokens=given(("ada", "read")))) as up:
        assert (await up.post(token=READ, **{added: "203.0.113.7"})).status_code == 200


async def test_other_methods_are_refused(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path)) as up, caller() as client:
        for method in ("GET", "DELETE", "PUT", "OPTIONS", "TRACE", "PATCH"):
            refused = await client.request(method, up.url)
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_a_request_that_crashes_tells_a_reference_and_nothing_else(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path)) as up:

        async def crash(*_: object) -> None:
            raise RuntimeError("password=hunter2")

        up.serving._app._app = crash
        answer = await up.post()
        assert answer.status_code == 500
        assert "hunter2" not in answer.text
        assert "Internal error (reference " in words_of(answer)


def test_all_servers_of_a_home_have_one_key(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    http.request_state(settings)
    kept = settings.home / http.STATE_KEY
    first = kept.read_text()
    assert (kept.stat().st_mode & 0o777, len(first)) == (0o600, 64)
    http.request_state(settings)
    assert kept.read_text() == first
    assert list(settings.home.glob(".mcp*")) == []
    kept.write_text("short")
    with pytest.raises(NotReadyError, match="holds no key"):
        http.request_state(settings)
    with pytest.raises(NotReadyError, match="OVERNIGHT_MCP_STATE_KEY: it has fewer than 32") as caught:
        http.request_state(settings_of(tmp_path, mcp_state_key="hunter2"))
    assert "hunter2" not in str(caught.value)


def test_whoever_starts_it_is_told_what_it_leaves_open(tmp_path: Path) -> None:
    here, there = Address("127.0.0.1", 8808, loopback=True), Address("10.1.2.3", 8808, loopback=False)
    (alone,) = http.warnings(settings_of(tmp_path), here)
    assert alone.startswith("no token is asked for: whoever has an account on this machine")
    tokens = given(("ada", "read"))
    assert http.warnings(settings_of(tmp_path, mcp_tokens=tokens, mcp_projects=["/srv"]), here) == []
    places, clear = http.warnings(settings_of(tmp_path, mcp_tokens=tokens), there)
    assert "OVERNIGHT_MCP_PROJECTS" in places
    assert "travel unencrypted" in clear


def test_what_is_new_in_the_protocol_needs_more_than_looking() -> None:
    scopes = {
        method: scope_of_method(method) for method in ("tasks/get", "tasks/update", "tasks/cancel", "x/new", "ping")
    }
    assert scopes == {
        "tasks/get": "read",
        "tasks/update": "approve",
        "tasks/cancel": "control",
        "x/new": "control",
        "ping": None,
    }
    assert {scope_of_method(f"resources/{verb}") for verb in ("list", "read", "subscribe")} == {"read"}
    assert {scope_of_method(one) for one in ("completion/complete", "subscriptions/listen")} == {"read"}
