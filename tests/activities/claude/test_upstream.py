"""The way to the model's service: every kind of credential, address, certificate, proxy; and what never leaves."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from activities.claude import Gateway
from overnight.base.credentials import Kind, find_credential
from tests.activities.claude.service import (
    BODY,
    COST,
    SECRET,
    Asked,
    answers,
    credential,
    events,
    gateway_to,
    http,
    lease,
    post,
    service,
)

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "CLAUDE_CODE_CLIENT_CERT"):
        monkeypatch.delenv(name, raising=False)


# Credentials


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        ("api_key", "x-api-key", SECRET),
        ("auth_token", "authorization", f"Bearer {SECRET}"),
        ("oauth_token", "authorization", f"Bearer {SECRET}"),
        ("claude_login", "authorization", f"Bearer {SECRET}"),
    ],
)
async def test_each_kind_is_presented_as_the_service_wants_it(kind: Kind, header: str, value: str) -> None:
    async with service() as there, gateway_to(credential(there.url, kind)) as (gateway, held):
        await post(gateway, held, anthropic_beta="one,two")
        sent = there.asked[0].headers
        assert sent[header] == value
        assert held.token not in str(sent)
        assert set(sent) & {"x-api-key", "authorization"} == {header}
        betas = sent["anthropic-beta"].split(",")
        assert betas == ["one", "two", *(["oauth-2025-04-20"] if kind in {"oauth_token", "claude_login"} else [])]


async def test_a_trace_is_told_by_the_worker_only() -> None:
    forged = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "forged=1", "baggage": "forged=1"}
    ours = f"00-{'c' * 32}-{'d' * 16}-01"
    async with service() as there, gateway_to(credential(there.url, "api_key")) as (gateway, held):
        await post(gateway, held, **forged)
        assert not set(there.asked[-1].headers) & set(forged)
        held.traceparent = ours
        await post(gateway, held, **forged)
        assert there.asked[-1].headers["traceparent"] == ours
        assert not set(there.asked[-1].headers) & {"tracestate", "baggage"}


async def test_a_renewed_login_is_used_by_the_next_request(tmp_path: Path) -> None:
    login = tmp_path / ".credentials.json"

    def write(token: str) -> None:
        login.write_text(json.dumps({"claudeAiOauth": {"accessToken": token, "expiresAt": 4_102_444_800_000}}))

    async with service() as there:
        env = {"CLAUDE_CONFIG_DIR": str(tmp_path), "ANTHROPIC_BASE_URL": there.url}
        async with Gateway(lambda: find_credential(env)).running() as gateway, gateway.lease(lease()) as held:
            write("first")
            assert (await post(gateway, held)).status_code == 200
            write("second")
            assert (await post(gateway, held)).status_code == 200
            assert [asked.headers["authorization"] for asked in there.asked] == ["Bearer first", "Bearer second"]

            login.write_text('{"claudeAiOauth": {"acc')  # in the moment in which it is renewed
            asking = asyncio.create_task(post(gateway, held))
            await asyncio.sleep(0.05)
            write("third")
            assert (await asking).status_code == 200
            assert there.asked[-1].headers["authorization"] == "Bearer third"

            login.unlink()
            assert (await post(gateway, held)).status_code == 401
            assert "no credential" in held.last_error


async def test_the_headers_of_a_person_go_upstream_and_stand_above_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    custom = "X-Team: night\n Authorization: Bearer for-the-gateway \nX-Overnight-Session: forged\nanthropic-beta: mine"
    async with service() as there:
        env = {"ANTHROPIC_API_KEY": "key", "ANTHROPIC_BASE_URL": there.url, "ANTHROPIC_CUSTOM_HEADERS": custom}
        async with Gateway(lambda: find_credential(env)).running() as gateway, gateway.lease(lease()) as held:
            await post(gateway, held, anthropic_beta="theirs")
        sent = there.asked[0].headers
        assert (sent["x-team"], sent["authorization"], sent["x-api-key"]) == ("night", "Bearer for-the-gateway", "key")
        assert sent["x-overnight-session"] == "a-session"
        assert sent["anthropic-beta"] == "theirs,mine"


async def test_of_the_agent_s_headers_only_what_the_api_knows_goes_up() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        forged = {"x_forwarded_user": "admin", "cookie": "a=b", "x_overnight_session": "other", "x_team": "all"}
        known = {"anthropic_version": "2023-06-01", "x_stainless_lang": "js", "user_agent": "claude-cli/2"}
        await post(gateway, held, **forged, **known)
        sent = there.asked[0].headers
        assert not {"x-forwarded-user", "cookie", "x-team"} & set(sent)
        assert sent["x-overnight-session"] == "a-session"
        assert sent["user-agent"] == "claude-cli/2"
        assert sent["accept-encoding"] == "identity"


@pytest.mark.parametrize("kind", ["bedrock", "vertex"])
async def test_what_goes_directly_is_not_carried(kind: Kind) -> None:
    async with service() as there, gateway_to(credential(there.url, kind)) as (gateway, held):
        answer = await post(gateway, held)
        assert (answer.status_code, there.asked) == (403, [])


# Addresses


@pytest.mark.parametrize(("prefix", "target"), [("", ""), ("/", ""), ("/team/a", "/team/a"), ("/team/a/", "/team/a")])
async def test_an_address_with_a_path_or_a_slash(prefix: str, target: str) -> None:
    async with service() as there:
        env = {"ANTHROPIC_API_KEY": "key", "ANTHROPIC_BASE_URL": f"{there.url}{prefix}"}
        async with Gateway(lambda: find_credential(env)).running() as gateway, gateway.lease(lease()) as held:
            assert (await post(gateway, held)).status_code == 200
        assert there.asked[0].target == f"{target}/v1/messages?beta=true"


@pytest.mark.parametrize("address", ["gateway.local:8080", "ftp://127.0.0.1", "http://[::1", "nonsense"])
async def test_an_address_that_is_none_is_said_and_not_tried_again(address: str) -> None:
    async with gateway_to(credential(address)) as (gateway, held):
        answer = await post(gateway, held)
        assert answer.status_code in {403, 502}
        assert SECRET not in answer.text + held.last_error


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed_with_the_credential(status: int) -> None:
    async with service() as elsewhere, service() as there, gateway_to(there.url) as (gateway, held):

        async def redirects(asked: Asked) -> None:
            await asked.say(http(b"", status=status, location=f"{elsewhere.url}/v1/messages"))

        there.play = redirects
        answer = await post(gateway, held)
        assert (answer.status_code, elsewhere.url in answer.text) == (403, True)
        assert "location" not in answer.headers
        assert elsewhere.asked == []
        assert held.usage.cost_usd == 0


async def test_a_service_that_quotes_the_credential_does_not_give_it_away() -> None:
    async def quotes(asked: Asked) -> None:
        key = asked.headers["x-api-key"].encode()
        await asked.say(http(b'{"error": "no such key: ' + key + b'"}', status=401, kind="application/json"))

    async with service(quotes) as there, gateway_to(there.url) as (gateway, held):
        answer = await post(gateway, held)
        assert (answer.status_code, answer.json()) == (401, {"error": "no such key: [credential]"})


async def test_connections_are_kept() -> None:
    async with service() as there, gateway_to(there.url) as (gateway, held):
        for _ in range(5):
            await post(gateway, held)
        assert (len(there.asked), there.connections) == (5, 1)


async def test_an_answer_that_is_compressed_all_the_same_is_read() -> None:
    async def compressed(asked: Asked) -> None:
        await asked.say(http(gzip.compress(b"".join(events())), content_encoding="gzip"))

    async with service(compressed) as there, gateway_to(there.url) as (gateway, held):
        answer = await post(gateway, held)
        assert answer.content == b"".join(events())
        assert held.usage.cost_usd == pytest.approx(COST)


# Certificates


class Authority:
    """Signs certificates for tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
        self.file, _ = self.issue("authority", itself=True)

    def issue(self, name: str, *, itself: bool = False) -> tuple[Path, Path]:
        """Certificate and key, as files."""
        key = self._key if itself else ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        subject = self._name if itself else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        local = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=itself, path_length=None), critical=True)
            .add_extension(local, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(pem))
        files[1].write_bytes(key.private_bytes(pem, *plain))
        return files

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server"))
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"])
async def test_a_company_s_certificates(authority: Authority, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with service(tls=authority.server()) as there:
        async with gateway_to(there.url) as (gateway, held):
            assert (await post(gateway, held)).status_code == 502, "nobody vouches for it"
            assert "certificate" in held.last_error.lower()
        monkeypatch.setenv(variable, str(authority.file))
        async with gateway_to(there.url) as (gateway, held):
            assert (await post(gateway, held)).status_code == 200


async def test_a_gateway_that_wants_to_know_who_asks(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    context = authority.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with service(tls=context) as there:
        async with gateway_to(there.url) as (gateway, held):
            assert (await post(gateway, held)).status_code == 502
        own, key = authority.issue("client")
        monkeypatch.setenv("CLAUDE_CODE_CLIENT_CERT", str(own))
        monkeypatch.setenv("CLAUDE_CODE_CLIENT_KEY", str(key))
        async with gateway_to(there.url) as (gateway, held):
            assert (await post(gateway, held)).status_code == 200


# Proxies


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that tunnels, its address, and the first lines of what it was asked."""
    asked: list[str] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(first)
        host, _, port = first.split(" ")[1].rpartition(":")
        beyond, into = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 .\r\n\r\n")
        await asyncio.gather(_pour(reader, into), _pour(beyond, writer))

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        yield f"http://user:word@127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
    target.close()


async def test_the_proxy_of_the_worker_s_environment_is_used(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a tunnel, so that the proxy does not see the credential; and for what is on loopback, none."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setattr("activities.claude.upstream.LOOPBACK", ())
    async with service(tls=authority.server()) as there, proxy() as (address, asked):
        monkeypatch.setenv("HTTPS_PROXY", address)
        async with gateway_to(there.url) as (gateway, held):
            assert (await post(gateway, held)).status_code == 200
        assert asked[0].startswith(f"CONNECT {there.url.removeprefix('https://')} ")
        assert "Basic " in asked[0]
        assert SECRET not in "".join(asked)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with gateway_to(there.url) as (gateway, held):
            assert (await post(gateway, held)).status_code == 200
        assert len(asked) == 1


async def test_loopback_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with service() as there, proxy() as (address, asked):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, address)
        async with gateway_to(there.url) as (gateway, held):
            assert (await post(gateway, held)).status_code == 200
        assert asked == []


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("ALL_PROXY", "socks5://user:word@127.0.0.1:9", "ALL_PROXY"),
        ("HTTPS_PROXY", "gopher://127.0.0.1", "HTTPS_PROXY"),
        ("SSL_CERT_FILE", "/nonexistent/ca.pem", "SSL_CERT_FILE"),
        ("NODE_EXTRA_CA_CERTS", "/nonexistent/ca.pem", "NODE_EXTRA_CA_CERTS"),
    ],
)
async def test_what_cannot_be_used_is_said_by_each_request(
    variable: str, value: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker runs on: it still answers questions."""
    monkeypatch.setenv(variable, value)
    async with service() as there, gateway_to(there.url) as (gateway, held):
        answer = await post(gateway, held)
        assert (answer.status_code, named in answer.text) == (403, True)
        assert "word" not in answer.text


# Whatever the agent sends


async def test_a_request_that_the_service_refuses_costs_nothing() -> None:
    async def refuses(asked: Asked) -> None:
        await asked.say(http(b"{}", status=529, kind="application/json", retry_after="3", x_internal="secret"))

    async with service(refuses) as there, gateway_to(there.url) as (gateway, held):
        answer = await post(gateway, held)
        assert (answer.status_code, answer.headers["retry-after"]) == (529, "3")
        assert "x-internal" not in answer.headers
        assert (held.usage.cost_usd, held.last_error) == (0, "HTTP 529")
        there.play = answers
        await post(gateway, held)
        assert held.usage.cost_usd == pytest.approx(COST)


@pytest.mark.parametrize("sent", ["not an object", [BODY], {"model": None}, {"model": ["a"]}, None])
async def test_a_body_that_is_none_is_the_service_s_to_refuse(sent: object) -> None:
    async def cut(asked: Asked) -> None:
        asked.writer.transport.abort()

    async with service() as there, gateway_to(there.url) as (gateway, held):
        assert (await post(gateway, held, sent)).status_code == 200
        there.play = cut
        assert (await post(gateway, held, sent)).status_code == 502
