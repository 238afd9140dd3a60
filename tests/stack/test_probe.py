"""A server that hangs is told from one that is slow, refuses, or has trouble of its own."""

from __future__ import annotations

import itertools
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

from overnight.stack import probe
from overnight.stack.probe import MISSES, MISSES_AT_WORK, Probe
from overnight.stack.processes import Process, identify
from tests.stack.conftest import eventually

Started = Callable[[], Process]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ASK_SECONDS", 0.05)
    monkeypatch.setattr(probe, "INTERVAL_SECONDS", 0.01)


@pytest.fixture
def started() -> Iterator[Started]:
    running: list[subprocess.Popen[bytes]] = []

    def start() -> Process:
        running.append(subprocess.Popen(["sleep", "600"]))
        process = identify(running[-1].pid)
        assert process is not None
        return process

    yield start
    for popen in running:
        popen.kill()
        popen.wait()


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose connections the kernel accepts, and nobody answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        yield listener.getsockname()[1]


def test_who_says_nothing_and_does_nothing_hangs(started: Started, silent: int) -> None:
    looking, process = Probe(), started()
    eventually(lambda: looking.hangs(process, silent), what="a server that hangs")
    assert looking._misses == MISSES


def test_who_computes_gets_four_times_as_long(started: Started, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    used = itertools.count()
    monkeypatch.setattr(probe, "_cpu_seconds", lambda _: float(next(used)))
    looking, process = Probe(), started()
    eventually(lambda: looking.hangs(process, silent), what="a server that hangs")
    assert looking._misses == MISSES_AT_WORK


def test_another_server_begins_anew(started: Started, silent: int) -> None:
    looking, first = Probe(), started()
    eventually(lambda: looking.hangs(first, silent), what="a server that hangs")
    assert not looking.hangs(started(), silent)
    assert looking._misses == 0


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"what?\r\n"])
def test_who_says_anything_does_not_hang(started: Started, reply: bytes) -> None:
    looking, process = Probe(), started()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = 0

        def serve() -> None:
            nonlocal served
            while served < 2 * MISSES:
                with listener.accept()[0] as connection:
                    connection.recv(1_000)
                    connection.sendall(reply)
                served += 1

        serving = threading.Thread(target=serve)
        serving.start()
        while serving.is_alive():
            assert not looking.hangs(process, listener.getsockname()[1])
        serving.join()


def test_who_refuses_does_not_hang(started: Started) -> None:
    looking, process = Probe(), started()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    asked_for: set[threading.Thread | None] = set()
    while len(asked_for) < 2 * MISSES:
        assert not looking.hangs(process, closed)
        asked_for.add(looking._asking)
