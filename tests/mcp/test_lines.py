"""What comes over standard input and is no message: it is answered, by its id where that can be read."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import subprocess
from typing import Any

import pytest

from overnight.mcp import lines
from tests.mcp.conftest import ROOT, Place
from tests.mcp.test_stdio import INITIALIZE, SERVER, wire

DEEP = b"[" * 1_000 + b"]" * 1_000
LIST = b'"jsonrpc":"2.0","method":"tools/list"'
CALL = b'"jsonrpc":"2.0","method":"tools/call","params":{"name":"claude_autonomous_list","arguments":{"limit":%s}}'

AMISS: list[tuple[bytes, int | str | None, int]] = [
    (b"not JSON", None, -32700),
    (b'{"jsonrpc":"2.0","id":20,"method":', 20, -32700),
    (b'[{%s,"id":21}]' % LIST, None, -32600),
    (b'{"id":22,"method":"tools/list","params":[1]}', 22, -32600),
    (b'{%s,"id":23,"params":[1]}' % LIST, 23, -32600),
    (b'{%s,"id":24}' % (CALL % b"NaN"), 24, -32700),
    (b'{%s,"id":25}' % (CALL % b'"\\ud800"'), 25, -32700),
    (b'{%s,"id":26}' % (CALL % (b"9" * 5_000)), 26, -32700),
    (b'{"id":"k","method":"tools/list"}', "k", -32600),
    (b'{%s,"id":"\xff"}' % LIST, "\ufffd", -32700),
    (b'{%s,"id":27}' % (CALL % DEEP), 27, -32700),
    (b'{%s,"id":30}' % (CALL % (b"[" * 300 + b"]" * 300)), 30, -32600),
    (b'{"jsonrpc":"2.0","id":28,"result":[]}', 28, -32600),
    (b'{%s,"id":{"id":1}}' % LIST, None, -32600),
]


async def test_what_is_no_message_is_answered_and_the_next_one_too(place: Place) -> None:
    async with wire(place, SERVER) as spoken:
        assert spoken.process.stdin is not None
        assert spoken.process.stdout is not None
        for line, wanted, code in AMISS:
            spoken.process.stdin.write(line + b"\n")
            answer = json.loads(await asyncio.wait_for(spoken.process.stdout.readline(), 120))
            assert (answer["jsonrpc"], answer["id"], answer["error"]["code"]) == ("2.0", wanted, code), line[:80]
        # Longer than what is taken: answered, and skipped to its end.
        spoken.process.stdin.write(b'{%s,"id":29}\n\n' % (CALL % (b'"%s"' % (b"x" * lines.MAX_BYTES))))
        answer = json.loads(await asyncio.wait_for(spoken.process.stdout.readline(), 120))
        assert (answer["id"], "longer than 8 MB" in answer["error"]["message"]) == (29, True)
        assert len((await spoken.ask({"method": "tools/list"}))["result"]["tools"]) > 5


async def test_a_person_who_starts_it_is_told_what_it_is_for(place: Place) -> None:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *SERVER, cwd=ROOT, env=place.environment(), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        said = await asyncio.wait_for(process.stderr.readline(), 120)
        assert b"`overnight mcp install claude-code` sets one up" in said
        os.write(ours, b"\x04")  # Ctrl-D
        out, more = await asyncio.wait_for(process.communicate(), 120)
        assert (process.returncode, out, b"install" in more) == (0, b"", False)
    finally:
        os.close(ours)
        os.close(theirs)
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("much", [-1, 0, 1, 2, lines._PIECE, 3 * lines._PIECE + 7])
async def test_a_line_that_is_too_long_takes_nothing_of_the_next(much: int) -> None:
    """``much`` is how much longer it is, its end included, than what is taken."""
    head, tail = b'{%s,"id":1,"params":{"x":"' % LIST, b'"}}\n'
    long = head + b"x" * (lines.MAX_BYTES + much - len(head) - len(tail)) + tail
    read = lines.Lines(io.BytesIO(long + b'{%s,"id":2}\n' % LIST))
    refused: list[Any] = []

    async def refuse(answer: Any) -> None:
        refused.append(answer.message.id)

    read.answering(refuse)
    taken = [json.loads(line)["id"] async for line in read]
    assert (taken, refused) == (([1, 2], []) if much <= 0 else ([2], [None]))


@pytest.mark.parametrize(
    ("line", "known"),
    [
        (b'{"id": 7, "method": "x", "params": {"id": 8', 7),
        (b'{"method": "x", "params": {"id": 8}', None),
        (b'{"method": "x", "params": {"id": 8}}', None),
        (b'{"method": "x", "params": {"id": 8}, "id": "n-1", "jsonrpc": "2.0"}', "n-1"),
        (b'{"id": 77777777777777777777777, "method": "x"}', None),
        (b'{"id": true}', None),
        (b'{"id": "\\ud800"}', None),
        (b"", None),
    ],
)
def test_the_id_is_the_messages_own(line: bytes, known: Any) -> None:
    assert lines.identity(line) == known


async def test_it_leaves_when_nobody_reads_what_it_says(place: Place) -> None:
    ours, theirs = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *SERVER,
        cwd=ROOT,
        env=place.environment(),
        stdin=subprocess.PIPE,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    try:
        os.close(theirs)
        os.close(ours)
        assert process.stdin is not None
        process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 1, **INITIALIZE}).encode() + b"\n")
        assert await asyncio.wait_for(process.wait(), 120) == 0  # with its standard input open
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
