"""Connections that must not come about: to ports of the host, by every way and every spelling."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from tests.escape.attacker.kit import RefusedError, attempt, told

SECONDS = 4.0
GREETING = b"GET / HTTP/1.0\r\nHost: attacker\r\n\r\n"

Way = Callable[[str, int], socket.socket]


def proxy() -> tuple[str, int]:
    """The way out that the environment names."""
    found = urlsplit(os.environ.get("HTTP_PROXY", ""))
    if not found.hostname or not found.port:
        raise RefusedError("no proxy is named")
    return found.hostname, found.port


def direct(host: str, port: int) -> socket.socket:
    """As if there were no sandbox."""
    return socket.create_connection((host.strip("[]"), port), SECONDS)


def connect(host: str, port: int) -> socket.socket:
    """A tunnel through the HTTP proxy."""
    sock = socket.create_connection(proxy(), SECONDS)
    named = f"[{host}]" if ":" in host and not host.startswith("[") else host
    sock.sendall(f"CONNECT {named}:{port} HTTP/1.1\r\nHost: {named}:{port}\r\n\r\n".encode())
    head = _until(sock, b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        sock.close()
        raise RefusedError(head.split(b"\r\n")[0].decode(errors="replace") or "closed")
    return sock


def socks(host: str, port: int) -> socket.socket:
    """A tunnel by SOCKS5; the proxy looks up the name, however it is spelled."""
    plain = host.strip("[]")
    sock = socket.create_connection(proxy(), SECONDS)
    sock.sendall(b"\x05\x01\x00")
    if sock.recv(2) != b"\x05\x00":
        raise RefusedError("no SOCKS5 without a password")
    try:
        where = b"\x01" + socket.inet_pton(socket.AF_INET, plain)
    except OSError:
        try:
            where = b"\x04" + socket.inet_pton(socket.AF_INET6, plain)
        except OSError:
            name = plain.encode()
            where = b"\x03" + bytes([len(name)]) + name
    sock.sendall(b"\x05\x01\x00" + where + struct.pack("!H", port))
    answer = sock.recv(10)
    if len(answer) < 2 or answer[1] != 0:
        sock.close()
        raise RefusedError(f"SOCKS5 answer {answer[1] if len(answer) > 1 else 'none'}")
    return sock


WAYS: dict[str, Way] = {"direct": direct, "connect": connect, "socks": socks}


def greet(way: Way, host: str, port: int) -> str:
    """Whoever says anything at all has been reached."""
    with way(host, port) as sock:
        sock.settimeout(SECONDS)
        sock.sendall(GREETING)
        answer = sock.recv(200)
    if not answer:
        raise RefusedError("closed without a word")
    return answer.split(b"\r\n")[0].decode(errors="replace")


def ask(target: str, *, host: str | None = None, more: str = "") -> str:
    """A plain request to the proxy: for ``target``, with a Host header of its own and more lines."""
    with socket.create_connection(proxy(), SECONDS) as sock:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host or urlsplit(target).netloc}\r\n{more}\r\n".encode())
        sock.settimeout(SECONDS)
        head = _until(sock, b"\r\n\r\n")
    line = head.split(b"\r\n")[0].decode(errors="replace")
    if not head or b"X-Overnight-Blocked" in head or line.split(" ")[1:2] >= ["400"]:
        raise RefusedError(line or "closed without a word")
    return line


def two_in_one(allowed: str, target: str) -> str:
    """A second request on a connection whose first one was let through."""
    with socket.create_connection(proxy(), SECONDS) as sock:
        sock.settimeout(1)
        for url in (allowed, target):
            sock.sendall(f"GET {url} HTTP/1.1\r\nHost: {urlsplit(allowed).netloc}\r\n\r\n".encode())
        said = b""
        with suppress(TimeoutError):
            while chunk := sock.recv(65_536):
                said += chunk
    if b"the canary sings" not in said:
        raise RefusedError(f"{said.count(b'HTTP/1.1')} answers, none of the canary")
    return "the canary sings"


def curl(url: str, *options: str) -> str:
    """With a program that follows redirects, and honours the proxy for loopback, too."""
    args = ["curl", "-sS", "--max-time", str(SECONDS), "--noproxy", "", "-L", *options, url]
    ended = subprocess.run(args, capture_output=True, text=True, check=False, timeout=20)
    if ended.returncode != 0 or "the canary sings" not in ended.stdout:
        raise RefusedError((ended.stderr or ended.stdout).strip()[-80:])
    return "the canary sings"


def datagram(host: str, port: int) -> str:
    """UDP, which no proxy carries."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        sock.connect((host, port))
        sock.send(b"who is there")
        try:
            return sock.recv(100).decode(errors="replace")
        except TimeoutError:
            raise RefusedError("no answer") from None


def local(name: str) -> str:
    """A Unix socket; a name that begins with @ has no file."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        sock.connect("\0" + name[1:] if name.startswith("@") else name)
        answer = sock.recv(100)
    if not answer:
        raise RefusedError("closed without a word")
    return answer.decode(errors="replace")


def odd(family: int, kind: int, protocol: int) -> str:
    """A kind of socket that speaks past TCP."""
    with socket.socket(family, kind, protocol):
        return "it opened"


def interfaces() -> str:
    """A network interface other than loopback."""
    found = [name for _, name in socket.if_nameindex() if name != "lo"]
    if not found:
        raise RefusedError("lo alone")
    return " ".join(found)


def netlink() -> str:
    """A change to the network by word of mouth to the kernel: loopback is to be up, as it is already."""
    head = struct.pack("=IHHII", 32, 16, 5, 1, 0)  # RTM_NEWLINK, to be acknowledged
    up = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex("lo"), 1, 1)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.send(head + up)
        (failure,) = struct.unpack("=i", sock.recv(4_096)[16:20])
    if failure:
        raise OSError(-failure, "netlink")
    return "done"


def neighbours() -> str:
    """Listeners of the host, as the kernel lists them."""
    own = {f"{port:04X}" for port in (61_080, 61_081)}
    listening: set[str] = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}") as lines:
            fields = [line.split() for line in list(lines)[1:]]
        listening |= {field[1].split(":")[1] for field in fields if field[3] == "0A"}
    if not listening - own:
        raise RefusedError("none but the sandbox's own")
    return " ".join(sorted(listening - own))[:80]


def main() -> None:
    known = told()
    attempt("net:allowed:connect", lambda: greet(connect, "127.0.0.1", known["allowed_port"]))
    attempt("net:allowed:ask", lambda: ask(f"http://127.0.0.1:{known['allowed_port']}/hello"))
    # Before the rest: only so many destinations are told by name, and how many follow hangs on the machine's addresses.
    attempt("net:metadata", lambda: ask("http://169.254.169.254/latest/meta-data/"))
    for label, port in known["ports"].items():
        for host in known["hosts"]:
            for name, way in WAYS.items():
                attempt(f"net:{label}:{name}:{host}", _greeting(way, host, port))
    for host in known["spellings"]:
        for name in ("connect", "socks"):
            attempt(f"net:canary:{name}:{host}", _greeting(WAYS[name], host, known["canary_port"]))
        attempt(f"net:canary:ask:{host}", _asking(f"http://{host}:{known['canary_port']}/"))
    _tricks(known)
    for label, name in known["sockets"].items():
        attempt(f"net:unix:{label}", _local(name))
    for label, (family, kind, protocol) in _ODD.items():
        attempt(f"net:socket:{label}", _odd(family, kind, protocol))
    attempt("net:netlink", netlink)
    attempt("net:interfaces", interfaces)
    attempt("net:neighbours", neighbours)


_ODD = {
    "raw": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "raw 6": (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
    "packet": (17, socket.SOCK_RAW, 0x0300),
    "vsock": (40, socket.SOCK_STREAM, 0),
    "crypto": (38, socket.SOCK_SEQPACKET, 0),
}


def _tricks(known: dict[str, Any]) -> None:
    canary, allowed = known["canary_port"], known["allowed_port"]
    attempt("net:canary:redirect", lambda: curl(f"http://127.0.0.1:{allowed}/to/http://127.0.0.1:{canary}/"))
    attempt("net:canary:redirect by name", lambda: curl(f"http://127.0.0.1:{allowed}/to/http://engine.test:{canary}/"))
    attempt("net:canary:other host header", lambda: _sung(f"http://127.0.0.1:{allowed}/", f"127.0.0.1:{canary}"))
    attempt(
        "net:canary:two in one",
        lambda: two_in_one(f"http://127.0.0.1:{allowed}/hello", f"http://127.0.0.1:{canary}/"),
    )
    attempt("net:canary:user part", lambda: ask(f"http://public.test:80@127.0.0.1:{canary}/", host="public.test"))
    attempt("net:canary:user of connect", lambda: greet(connect, "public.test@127.0.0.1", canary))
    attempt("net:canary:curl socks", lambda: curl(f"http://localhost:{canary}/", "--proxy", _socks_url()))
    attempt("net:canary:curl connect-to", lambda: curl("http://public.test/", "--connect-to", f"::127.0.0.1:{canary}"))
    attempt("net:metadata by name", lambda: ask("http://metadata.test/latest/meta-data/"))
    attempt("net:metadata 6", lambda: ask("http://[fd00:ec2::254]/latest/meta-data/"))
    attempt("net:udp", lambda: datagram("127.0.0.1", known["udp_port"]))


def _sung(url: str, host: str) -> str:
    with socket.create_connection(proxy(), SECONDS) as sock:
        sock.sendall(f"GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        sock.settimeout(SECONDS)
        said = b""
        while chunk := sock.recv(65_536):
            said += chunk
    if b"the canary sings" not in said:
        raise RefusedError("another one answered")
    return "the canary sings"


def _socks_url() -> str:
    host, port = proxy()
    return f"socks5h://{host}:{port}"


def _until(sock: socket.socket, end: bytes) -> bytes:
    """Up to ``end`` and not a byte further: what comes after it is the other side's word."""
    said = b""
    while not said.endswith(end) and (byte := sock.recv(1)):
        said += byte
    return said


def _greeting(way: Way, host: str, port: int) -> Callable[[], str]:
    return lambda: greet(way, host, port)


def _asking(target: str) -> Callable[[], str]:
    return lambda: ask(target)


def _local(name: str) -> Callable[[], str]:
    return lambda: local(name)


def _odd(family: int, kind: int, protocol: int) -> Callable[[], str]:
    return lambda: odd(family, kind, protocol)


if __name__ == "__main__":
    main()
