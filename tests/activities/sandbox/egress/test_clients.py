"""The programs that agents really use, through the proxy, as their environment tells them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest

from activities.sandbox.egress import EgressRules
from tests.activities.sandbox.egress.support import PUBLIC_IP, Site, World, served, server

PLACE = "http://pkgs.example/"


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


@dataclass
class Done:
    code: int
    out: str


async def run(command: list[str], port: int, folder: Path, **env: str) -> Done:
    """Run a program as one in a box is run: the proxy is all that it is told."""
    proxy = f"http://127.0.0.1:{port}"
    plain = {
        k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith(("GIT_", "PIP_", "npm_"))
    }
    told = {name: proxy for base in ("http_proxy", "https_proxy", "all_proxy") for name in (base, base.upper())}
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**plain, **told, "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    return Done(process.returncode or 0, out.decode(errors="replace"))


@contextmanager
def serving(handler: object) -> Iterator[int]:
    """An HTTP server in a thread."""
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
    thread = threading.Thread(target=running.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield running.server_port
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key, and the certificate for site.example that goes with it."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=site.example", "-addext", "subjectAltName=DNS:site.example", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return key, cert


@asynccontextmanager
async def tls_site(key: Path, cert: Path) -> AsyncIterator[int]:
    """An https server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    running = await asyncio.start_server(Site(), "127.0.0.1", 0, ssl=context)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()
        await running.wait_closed()


@needs("openssl")
@needs("curl")
async def test_curl_over_https(tmp_path: Path, certified: tuple[Path, Path]) -> None:
    world = World()
    key, cert = certified
    async with tls_site(key, cert) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port:
            done = await run(["curl", "-sS", "--cacert", str(cert), "https://site.example/"], port, tmp_path)
            blocked = await run(["curl", "-sS", "https://169.254.169.254/"], port, tmp_path)
    assert (done.code, done.out) == (0, "hello")
    assert blocked.code != 0
    assert "403" in blocked.out
    assert world.dialled == [(PUBLIC_IP, 443)]


@needs("openssl")
async def test_python_over_https(tmp_path: Path, certified: tuple[Path, Path]) -> None:
    world = World()
    key, cert = certified
    async with tls_site(key, cert) as there:
        world.put("site.example", 443, there)
        async with served(world.egress()) as port:
            proxy = f"http://127.0.0.1:{port}"
            trust = ssl.create_default_context(cafile=str(cert))
            async with httpx2.AsyncClient(proxy=proxy, verify=trust, trust_env=False) as client:
                assert (await client.get("https://site.example/")).text == "hello"
            fetch = "import urllib.request as u; print(u.urlopen('https://site.example/').read())"
            done = await run([sys.executable, "-c", fetch], port, tmp_path, SSL_CERT_FILE=str(cert))
            fetch = "import urllib.request as u; u.urlopen('https://10.0.0.1/')"
            blocked = await run([sys.executable, "-c", fetch], port, tmp_path)
    assert done.out.strip() == "b'hello'"
    assert "403 Blocked by Overnight's sandbox: a private address" in blocked.out


@needs("curl")
async def test_curl_over_http(tmp_path: Path) -> None:
    world, site = World(), Site()
    big = tmp_path / "big"
    big.write_bytes(os.urandom(3_000_000))
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            done = await run(["curl", "-sS", "http://site.example/a", "http://site.example/b"], port, tmp_path)
            upload = ["curl", "-sS", "-T", str(big), "-H", "Transfer-Encoding: chunked", "http://site.example/up"]
            uploaded = await run(upload, port, tmp_path)
            blocked = await run(["curl", "-sS", "http://169.254.169.254/latest/"], port, tmp_path)
    assert (done.code, done.out) == (0, "hellohello")
    assert (uploaded.code, site.asked[2].body == big.read_bytes()) == (0, True)
    assert blocked.out.startswith("Overnight's sandbox blocked 169.254.169.254:80: a cloud metadata address.")


async def test_python_over_http(tmp_path: Path) -> None:
    world, site = World(), Site()
    async with server(site) as there:
        world.put("site.example", 80, there)
        async with served(world.egress()) as port:
            fetch = "import urllib.request as u; print(u.urlopen('http://site.example/x', b'data').read())"
            done = await run([sys.executable, "-c", fetch], port, tmp_path)
            async with httpx2.AsyncClient(proxy=f"http://127.0.0.1:{port}", trust_env=False) as client:
                answers = await asyncio.gather(*(client.get(f"http://site.example/{n}") for n in range(50)))
    assert done.out.strip() == "b'hello'"
    assert {answer.text for answer in answers} == {"hello"}
    assert len(site.asked) == 51


class GitBackend(BaseHTTPRequestHandler):
    """Git's own CGI program behind HTTP."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args: object, root: Path, seen: list[str]) -> None:
        self._root = root
        self._seen = seen
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            self._seen.append("chunked")
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self._serve(body)

    def _serve(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        env = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self._root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "REMOTE_USER": "agent",
        }  # fmt: skip
        out = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True).stdout
        head, _, answer = out.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


def git(folder: Path, *args: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *args], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A bare repository with some weight."""
    work = tmp_path / "origin-work"
    work.mkdir()
    git(work, "init", "-q")
    (work / "noise").write_bytes(os.urandom(2_000_000))
    git(work, "add", ".")
    git(work, "commit", "-qm", "start")
    root = tmp_path / "root"
    root.mkdir()
    git(tmp_path, "clone", "-q", "--bare", str(work), str(root / "repo.git"))
    git(root / "repo.git", "update-server-info")
    git(root / "repo.git", "config", "http.receivepack", "true")
    return root


async def test_git_clones_and_pushes(tmp_path: Path, repository: Path) -> None:
    world, seen = World(), list[str]()
    with serving(partial(GitBackend, root=repository, seen=seen)) as there:
        world.put("git.example", 80, there)
        async with served(world.egress()) as port:
            cloned = await run(["git", "clone", "-q", "http://git.example/repo.git", "copy"], port, tmp_path)
            assert cloned.code == 0, cloned.out
            copy = tmp_path / "copy"
            (copy / "more").write_bytes(os.urandom(2_000_000))
            git(copy, "add", ".")
            git(copy, "commit", "-qm", "more")
            pushed = await run(["git", "push", "-q", "origin", "HEAD:main"], port, copy)
            assert pushed.code == 0, pushed.out
            elsewhere = await run(["git", "ls-remote", "http://192.168.1.1/repo.git"], port, tmp_path)
    assert git(copy, "rev-parse", "HEAD") == git(repository / "repo.git", "rev-parse", "main")
    assert "chunked" in seen
    assert "403" in elsewhere.out


async def test_git_clones_from_a_plain_file_server(tmp_path: Path, repository: Path) -> None:
    world = World()
    with serving(partial(Quiet, directory=str(repository))) as there:
        world.put("git.example", 80, there)
        async with served(world.egress()) as port:
            cloned = await run(["git", "clone", "-q", "http://git.example/repo.git", "copy"], port, tmp_path)
    assert cloned.code == 0, cloned.out
    assert (tmp_path / "copy" / "noise").stat().st_size == 2_000_000


def wheel() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("demo.py", "x = 1\n")
        archive.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        archive.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("demo-1.0.dist-info/RECORD", "")
    return made.getvalue()


async def test_pip_downloads(tmp_path: Path) -> None:
    index = tmp_path / "index"
    (index / "simple" / "demo").mkdir(parents=True)
    name = "demo-1.0-py3-none-any.whl"
    (index / name).write_bytes(wheel())
    (index / "simple" / "demo" / "index.html").write_text(f'<!DOCTYPE html><html><a href="/{name}">{name}</a></html>')
    options = ["--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--retries", "1"]
    pip = [sys.executable, "-m", "pip", "download", "demo", *options, "-i"]
    world = World()
    rules = EgressRules("allow-list", ("index.example:80",))
    with serving(partial(Quiet, directory=str(index))) as there:
        world.put("index.example", 80, there)
        async with served(world.egress(rules)) as port:
            trust = ["--trusted-host", "index.example"]
            done = await run([*pip, "http://index.example/simple/", *trust], port, tmp_path)
            blocked = await run([*pip, "https://other.example/simple/"], port, tmp_path)
    assert done.code == 0, done.out
    assert (tmp_path / name).read_bytes() == (index / name).read_bytes()
    assert "403 Blocked by Overnight's sandbox: not on this session's allow-list" in blocked.out


def npm_package() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in (("package.json", '{"name":"demo","version":"1.0.0"}'), ("index.js", "module.exports = 1")):
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return made.getvalue()


@needs("npm")
async def test_npm_installs(tmp_path: Path) -> None:
    registry, project = tmp_path / "registry", tmp_path / "project"
    (registry / "demo").mkdir(parents=True)
    project.mkdir()
    package = npm_package()
    (registry / "demo.tgz").write_bytes(package)
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(package).digest()).decode()
    dist = {"tarball": f"{PLACE}demo.tgz", "integrity": integrity}
    about = {
        "name": "demo",
        "dist-tags": {"latest": "1.0.0"},
        "versions": {"1.0.0": {"name": "demo", "version": "1.0.0", "dist": dist}},
    }
    (registry / "demo" / "index.html").write_text(json.dumps(about))
    (project / "package.json").write_text('{"name":"project","version":"1.0.0"}')
    world = World()
    with serving(partial(Quiet, directory=str(registry))) as there:
        world.put("pkgs.example", 80, there)
        async with served(world.egress()) as port:
            npm = [
                "npm",
                "install",
                "demo@1.0.0",
                "--no-audit",
                "--no-fund",
                "--no-update-notifier",
                "--fetch-retries=0",
            ]
            done = await run([*npm, f"--registry={PLACE}"], port, project)
    assert done.code == 0, done.out
    assert (project / "node_modules" / "demo" / "index.js").read_text() == "module.exports = 1"
