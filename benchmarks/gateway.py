"""What the gateway adds to a request: ``python -m benchmarks.gateway [ROUNDS]``.

A model's service that answers at once, a client, and between them nothing or the gateway: each in a process of its own,
the connections kept. Prints medians: the time to the first byte of the answer by the size of the request, the delay of
each event of a stream; then what it takes to open the gateway for one more call and to close it, and to refuse.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from pydantic import SecretStr

from activities.claude import Gateway, Lease
from overnight.base.credentials import Credential

SIZES = {"2 kB": 2_000, "100 kB": 100_000, "500 kB": 500_000, "5 MB": 5_000_000}
EVENTS = 40
EVENT_SECONDS = 0.01
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_USAGE = {"input_tokens": 10, "output_tokens": 5}
_START = {"type": "message_start", "message": {"model": "claude-opus-5-5", "usage": _USAGE}}
_END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": _USAGE}


def event(data: Mapping[str, object]) -> bytes:
    """One event as a chunk on the wire."""
    body = f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(body), body)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The service: reads a request whole, begins to answer at once; events carry the moment they were sent."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            writer.write(_HEAD + event(_START))
            for _ in range(EVENTS if body.startswith(b'{"model":"stream"') else 1):
                await asyncio.sleep(EVENT_SECONDS if length < 10_000 else 0)
                delta = {"type": "text_delta", "text": "word " * 4, "sent": time.monotonic_ns()}
                writer.write(event({"type": "content_block_delta", "delta": delta}))
            writer.write(event(_END) + b"0\r\n\r\n")
    except asyncio.IncompleteReadError:
        writer.close()


async def serve() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=2**22)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def request_of(size: int, model: str) -> bytes:
    """A conversation about code, as JSON of about ``size`` bytes."""
    line = 'def answer(self, text: str) -> "Reply":\n\treturn self.parts[text]\n'
    said = [{"role": "user", "content": [{"type": "text", "text": line * 30}]} for _ in range(max(1, size // 2_400))]
    return json.dumps({"model": model, "messages": said, "stream": True}, separators=(",", ":")).encode()


def call(connection: http.client.HTTPConnection, token: str, body: bytes) -> tuple[float, list[float]]:
    """Seconds to the first byte of the answer, and how long each event was under way."""
    began = time.monotonic()
    headers = {"x-api-key": token, "content-type": "application/json", "anthropic-version": "2023-06-01"}
    connection.request("POST", "/v1/messages?beta=true", body, headers)
    reply = connection.getresponse()
    reply.read1(1)
    first = time.monotonic() - began
    delays: list[float] = []
    while line := reply.readline():
        if b'"sent": ' in line:
            delays.append((time.monotonic_ns() - int(line.partition(b'"sent": ')[2].partition(b"}")[0])) / 1e9)
    reply.read()
    return first, delays


def measure(port: int, token: str, rounds: int) -> dict[str, list[float]]:
    """What a client sees at ``port``."""
    seen: dict[str, list[float]] = {}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for name, size in SIZES.items():
        body = request_of(size, "claude-opus-5-5")
        count = rounds if size < 1_000_000 else max(10, rounds // 5)
        seen[name] = [call(connection, token, body)[0] for _ in range(count + 5)][5:]
    body = request_of(1, "stream")
    seen["an event"] = [delay for _ in range(max(3, rounds // 20)) for delay in call(connection, token, body)[1]]
    return seen


async def measured(port: int, token: str, rounds: int) -> dict[str, list[float]]:
    """``measure`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gateway", "client", str(port), token, str(rounds)]
    client = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    said, _ = await client.communicate()
    found: dict[str, list[float]] = json.loads(said)
    return found


@asynccontextmanager
async def service() -> AsyncIterator[int]:
    """The service's port, for as long as the context lasts."""
    command = [sys.executable, "-m", "benchmarks.gateway", "service"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


async def compare(rounds: int) -> None:
    """Run everything and print the table."""
    async with service() as port:
        upstream = f"http://127.0.0.1:{port}"
        credential = Credential(kind="api_key", secret=SecretStr("key"), source="benchmark", upstream=upstream)
        lease = Lease("session", "execute", iteration=1, attempt=1, budget_usd=1e9)
        async with Gateway(lambda: credential).running() as gateway, gateway.lease(lease):
            own = int(gateway.url.rpartition(":")[2])
            direct: dict[str, list[float]] = {}
            through: dict[str, list[float]] = {}
            for _ in range(3):  # in turns, so that whatever else the machine does meets both
                for found, at in ((direct, port), (through, own)):
                    for name, values in (await measured(at, lease.token, rounds // 3)).items():
                        found.setdefault(name, []).extend(values)
            doors = await opened(gateway, rounds)
            lease.refusal = "benchmark"
            refused = await measured(own, lease.token, rounds // 3)
        print(f"{'median, ms':<12}{'direct':>10}{'gateway':>10}{'added':>10}{'ratio':>8}{'p95 added':>12}")
        for name in direct:
            plain, carried = statistics.median(direct[name]), statistics.median(through[name])
            worst = statistics.quantiles(through[name], n=20)[-1] - statistics.quantiles(direct[name], n=20)[-1]
            figures = f"{plain * 1e3:>10.2f}{carried * 1e3:>10.2f}{(carried - plain) * 1e3:>10.2f}"
            print(f"{name:<12}{figures}{carried / plain:>7.1f}x{worst * 1e3:>12.2f}")
        show("to open it for one more call", statistics.median(one for one, _ in doors))
        show("to close that again", statistics.median(other for _, other in doors))
        show("to refuse a request of 2 kB", statistics.median(refused["2 kB"]))
        show("to refuse a request of 500 kB", statistics.median(refused["500 kB"]))


async def opened(gateway: Gateway, rounds: int) -> list[tuple[float, float]]:
    """Seconds to open the gateway on one more socket, and to close it again."""
    took = []
    for _ in range(rounds):
        listener = socket.create_server(("127.0.0.1", 0))
        began = time.perf_counter()
        async with gateway.serving(listener):
            between = time.perf_counter()
        took.append((between - began, time.perf_counter() - between))
    return took


def show(name: str, seconds: float) -> None:
    print(f"{name:<32}{seconds * 1e3:>10.2f} ms")


def main() -> None:
    match sys.argv[1:]:
        case ["service"]:
            asyncio.run(serve())
        case ["client", port, token, rounds]:
            print(json.dumps(measure(int(port), token, int(rounds))))
        case [*rest]:
            asyncio.run(compare(int(rest[0]) if rest else 300))


if __name__ == "__main__":
    main()
