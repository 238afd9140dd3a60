"""A real S3 API server in a process of its own, for whatever test needs a bucket, and services that misbehave."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

# It ends when its standard input does, so that a killed test run leaves no server. moto's objects are not made for
# several threads, so the server has many connections, but answers one request at a time.
_PROGRAM = """
import sys, threading
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

application, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

def one_at_a_time(environ, start_response):
    with lock:
        return list(application(environ, start_response))

server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
"""
ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"


@dataclass
class S3Server:
    """Where it is and how to come in; it takes every credential."""

    endpoint: str
    process: subprocess.Popen[str]

    def new_bucket(self) -> str:
        """A bucket that no other test has."""
        name = f"night-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name

    def url(self, bucket: str, prefix: str = "") -> str:
        """As ``OVERNIGHT_ARTIFACTS_URL`` names it."""
        place = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        return f"{place}?endpoint={self.endpoint}&region=eu-central-1"

    @cached_property
    def client(self) -> S3Client:
        """To look behind the store's back."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 2}, connect_timeout=5, read_timeout=20),
        )

    def stop(self) -> None:
        """Nothing listens there afterwards."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process.stdout.close()


def environment() -> dict[str, str]:
    """For a process that uses such a server: its credential, and none of the machine's own."""
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def set_environment(patch: pytest.MonkeyPatch) -> None:
    """``environment``, for this process."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    for name, value in environment().items():
        patch.setenv(name, value)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """One that is up; it takes a second or two."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment()},
    )
    assert process.stdout
    port = process.stdout.readline().strip()
    server = S3Server(f"http://127.0.0.1:{port}", process)
    try:
        assert port.isdecimal(), f"the S3 server did not start: exit code {process.poll()}"
        yield server
    finally:
        server.stop()


@contextmanager
def service(answer: Callable[[bytes], bytes | None]) -> Iterator[tuple[str, list[bytes]]]:
    """Its URL, and the heads of the requests that came. ``None`` for an answer: silence; ``b""``: it hangs up."""
    heads: list[bytes] = []
    over = threading.Event()
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with closing(connection):
            connection.settimeout(20)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := connection.recv(65_536)):
                    return
                head += more
            heads.append(head)
            said = answer(head)
            if said is None:
                over.wait(20)
            elif said:
                connection.sendall(said)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=_quietly, args=(serve, connection))
            threads.append(thread)
            thread.start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for thread in threads:
                thread.join(30)


def _quietly(serve: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with suppress(OSError):  # the client has left
        serve(connection)


def closed_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
