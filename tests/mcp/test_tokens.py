"""Tokens of the server over HTTP: whom they let in, where they are kept, and how they end."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from overnight.errors import InvalidRequestError, NotReadyError
from overnight.mcp.tokens import FILE, Registry
from tests.mcp.over_http import ACCEPT, LIST, NOBODYS, caller, given, served, settings_of, token_of, words_of

READ = token_of("ada", "read")


async def test_without_a_token_that_holds_nobody_comes_in(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, mcp_tokens=given(("ada", "read")))) as up:
        none = await up.post()
        assert (none.status_code, none.headers["www-authenticate"]) == (401, 'Bearer realm="overnight"')
        assert "A token is needed. Send `Authorization: Bearer <token>`" in words_of(none)
        for wrong in (NOBODYS, READ[:-1], READ + "x", READ.upper(), "a b"):
            refused = await up.post(Authorization=f"Bearer {wrong}")
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].endswith('error="invalid_token"')
            assert "ovn_" not in refused.text
        for scheme in (f"Basic {READ}", READ, f"Token {READ}", "Bearer"):
            assert (await up.post(Authorization=scheme)).status_code == 401
        assert (await up.post(token=READ)).status_code == 200
        assert (await up.post(Authorization=f"bearer  {READ}")).status_code == 200
        async with caller() as client:
            twice = [*ACCEPT.items(), ("Authorization", f"Bearer {READ}"), ("Authorization", f"Bearer {NOBODYS}")]
            assert (await client.post(up.url, json=LIST, headers=twice)).status_code == 401
            # In the address it would be in every log.
            assert (await client.post(f"{up.url}?token={READ}", json=LIST, headers=ACCEPT)).status_code == 401


async def test_a_revoked_token_is_refused_by_a_server_that_runs(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registry = Registry(settings)
    made, plain = registry.add("ada", ["read"])
    async with served(settings) as up:
        assert (await up.post(token=plain)).status_code == 200
        _, other = registry.add("bob", ["read"])
        assert (await up.post(token=other)).status_code == 200
        assert [one.id for one in registry.revoke(made.id)] == [made.id]
        assert (await up.post(token=plain)).status_code == 401
        registry.revoke("bob")
        assert (await up.post(token=other)).status_code == 401
        assert (await up.post()).status_code == 401, "whoever revokes the last token opens the door to all"
        (settings.home / FILE).unlink()
        assert (await up.post()).status_code == 401
    registry.add("ada", ["read"])
    with pytest.raises(InvalidRequestError, match="no token, and no owner, called 'bob'"):
        registry.revoke("bob")


async def test_a_token_ends_with_its_time(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registry = Registry(settings)
    token, plain = registry.add("ada", ["read"], days=1)
    assert token.expires is not None
    assert abs(token.expires - datetime.now(UTC) - timedelta(days=1)) < timedelta(minutes=1)
    assert registry.caller(plain) is not None
    text = (settings.home / FILE).read_text()
    (settings.home / FILE).write_text(text.replace(token.expires.strftime("%Y"), "2020"))
    assert registry.caller(plain) is None
    assert registry.usable() == []


def test_only_hashes_are_kept_for_the_user_alone(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    _, plain = Registry(settings).add("ada", ["read", "control"])
    kept = settings.home / FILE
    assert kept.stat().st_mode & 0o777 == 0o600
    for file in settings.home.rglob("*"):
        assert not file.is_file() or plain[4:] not in file.read_text()
    assert len({Registry(settings).add("ada", ["read"])[1] for _ in range(20)}) == 20
    assert len(plain) >= 40


@pytest.mark.parametrize("harm", ["others write it", "not JSON", "a link", "a folder", "unknown fields"])
async def test_tokens_that_cannot_be_trusted_let_nobody_in(tmp_path: Path, harm: str) -> None:
    settings = settings_of(tmp_path)
    _, plain = Registry(settings).add("ada", ["read"])
    kept = settings.home / FILE
    async with served(settings) as up:
        assert (await up.post(token=plain)).status_code == 200
        match harm:
            case "others write it":
                kept.chmod(0o666)
            case "not JSON":
                kept.write_text("{")
            case "a link":
                kept.rename(tmp_path / "elsewhere")
                kept.symlink_to(tmp_path / "elsewhere")
            case "a folder":
                kept.unlink()
                kept.mkdir()
            case _:
                kept.write_text(json.dumps({"version": 2, "tokens": []}))
        refused = await up.post(token=plain)
        assert refused.status_code == 503
        assert "cannot check tokens" in words_of(refused)
        assert str(settings.home) not in refused.text
    with pytest.raises(NotReadyError, match=str(kept)):
        Registry(settings).tokens()


@pytest.mark.parametrize(
    "wrong", ["ada", "ada:read", "ada:write:" + "0" * 64, "A da:read:" + "0" * 64, "ada:read:hash"]
)
def test_a_wrong_entry_of_the_setting_is_told_without_its_text(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(NotReadyError, match="OVERNIGHT_MCP_TOKENS: entry 2") as caught:
        Registry(settings_of(tmp_path, mcp_tokens=[*given(("ada", "read")), wrong]))
    assert wrong not in str(caught.value)


def test_the_setting_is_read_from_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERNIGHT_MCP_TOKENS", ", ".join(given(("ada", "read+control"), ("bob", "approve"))))
    registry = Registry(settings_of(tmp_path))
    caller = registry.caller(token_of("ada", "read+control"))
    assert caller is not None
    assert (caller.reach.owner, caller.scopes) == ("ada", frozenset[object]({"read", "control"}))
    assert registry.demanded


@pytest.mark.parametrize("owner", ["", "Ada", "a b", "ada'", "ä", "-ada", "a" * 64, 'x" OR "1'])
def test_an_owner_is_a_plain_name(tmp_path: Path, owner: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no name for an owner"):
        Registry(settings_of(tmp_path)).add(owner, ["read"])
    assert not (tmp_path / "home" / FILE).exists()


async def test_tokens_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    await asyncio.gather(*(asyncio.to_thread(Registry(settings).add, f"owner{n}", ["read"]) for n in range(20)))
    assert len(Registry(settings).tokens()) == 20
