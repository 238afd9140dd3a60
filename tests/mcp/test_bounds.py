"""How large, how slow and how many requests over HTTP may be."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from overnight.mcp.limits import AtOnce, Rate, TooManyError
from tests.mcp.over_http import ACCEPT, LIST, NOBODYS, caller, given, served, settings_of, token_of, words_of

READ = token_of("ada", "read")


async def test_a_body_has_a_size_and_a_time(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, mcp_body_kb=4, mcp_request_seconds=0.3)) as up:
        large = {**LIST, "params": {"_meta": {"x": "y" * 5_000}}}
        refused = await up.post(large)
        assert (refused.status_code, "larger than 4 kB" in words_of(refused)) == (413, True)

        async def in_pieces() -> Any:
            for _ in range(6):
                yield b" " * 1_000

        async with caller() as client:
            refused = await client.post(up.url, content=in_pieces(), headers=ACCEPT)
        assert refused.status_code == 413
        assert (await up.post(b"\x1f\x8b", Content_Encoding="gzip")).status_code == 415
        reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
        head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{up.port}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        answer = await asyncio.wait_for(reader.read(), 120)  # to its end: the connection is closed
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"not there within 0.3 s" in answer
        writer.close()
        assert (await up.post()).status_code == 200


async def test_whoever_does_not_finish_a_head_is_not_waited_for(tmp_path: Path) -> None:
    async with served(settings_of(tmp_path, mcp_request_seconds=0.3)) as up:

        async def begins(with_this: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
            writer.write(with_this)
            answer = await asyncio.wait_for(reader.read(), 120)  # to its end: the connection is closed
            writer.close()
            return answer

        head = b"POST /mcp HTTP/1.1\r\nHost: "
        assert await asyncio.gather(*map(begins, (b"", b"P", head, head + b"x\r\nX: "))) == [b""] * 4
        assert (await up.post()).status_code == 200


async def test_too_many_requests_of_one_token_leave_the_others_alone(tmp_path: Path) -> None:
    tokens = given(("ada", "read"), ("bob", "read"))
    async with served(settings_of(tmp_path, mcp_tokens=tokens, mcp_requests_per_minute=5)) as up:
        codes = [(await up.post(token=READ)).status_code for _ in range(6)]
        assert codes == [200] * 5 + [429]
        refused = await up.post(token=READ)
        assert 1 <= int(refused.headers["retry-after"]) <= 12
        assert "takes 5 a minute from one caller" in words_of(refused)
        assert (await up.post(token=token_of("bob", "read"))).status_code == 200
        unknown = [(await up.post(token=NOBODYS)).status_code for _ in range(6)]
        assert unknown == [401] * 5 + [429]
        assert (await up.post(token=token_of("bob", "read"))).status_code == 200, "guessing locks nobody out"


def test_a_rate_comes_back_with_time_and_forgets_the_quiet() -> None:
    now = [0.0]
    rate = Rate(60, clock=lambda: now[0])
    for _ in range(60):
        rate.take("ada")
    with pytest.raises(TooManyError, match="in 1 s"):
        rate.take("ada")
    now[0] = 2.0
    rate.take("ada")
    rate.take("ada")
    with pytest.raises(TooManyError):
        rate.take("ada")
    began = time.process_time()
    for number in range(20_000):
        rate.take(f"caller {number}")
    assert time.process_time() - began < 5
    assert len(rate._left) == 10_000


def test_only_so_much_at_once() -> None:
    doing = AtOnce(2, "waits")
    with doing.one("ada"), doing.one("bob"), doing.one("ada"):
        with pytest.raises(TooManyError, match="Too many waits at once: this server takes 2 of one caller"):
            with doing.one("ada"):
                raise AssertionError
    with doing.one("ada"):
        pass
    assert doing._now == {}
