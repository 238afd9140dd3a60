"""The command line as a person has it: a process of its own, with an environment that is known."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from overnight.cli.codes import Code

ROOT = Path(__file__).parent.parent.parent
OVERNIGHT = [sys.executable, "-P", "-m", "overnight.cli"]
VALIDATE = "python3 -m unittest -v test_nightshift"

T = TypeVar("T")


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """This process's environment without anything of the person's own."""
    foreign = ("ANTHROPIC_", "CLAUDE", "TEMPORAL_", "OVERNIGHT_", "GIT_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and not name.lower().endswith("_proxy") and name != "COLUMNS"
    }
    git = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for who in ("AUTHOR", "COMMITTER"):
        git |= {f"GIT_{who}_NAME": "A Person", f"GIT_{who}_EMAIL": "person@example.org"}
    return {**kept, **git, "PYTHONPATH": str(ROOT), "OVERNIGHT_HOME": str(home), **more}


def eventually(look: Callable[[], T], *, seconds: float = 120, what: str = "") -> T:
    """What ``look`` returns as soon as it is truthy."""
    deadline = time.monotonic() + seconds
    while not (result := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or look}"
        time.sleep(0.05)
    return result


READS = {"status", "list", "report", "diff"}
"""What may be asked again whatever it came to; the rest where nothing was done."""
NOTHING_DONE = re.compile("away or busy|offline or busy")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """JSON objects, one per line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Cli:
    """Runs ``overnight`` with an environment."""

    def __init__(self, environment: Mapping[str, str], cwd: Path) -> None:
        self.environment = dict(environment)
        self.cwd = cwd

    def __call__(
        self,
        *arguments: str,
        given: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 90,
        tries: int = 3,
    ) -> Done:
        """Run to the end; a traceback is never right. That nobody has the time to answer is believed the third time."""
        done = self._run(arguments, given, {**self.environment, **(env or {})}, cwd or self.cwd, timeout)
        if done.code == Code.UNREACHABLE and tries > 1 and (arguments[0] in READS or NOTHING_DONE.search(done.err)):
            return self(*arguments, given=given, env=env, cwd=cwd, timeout=timeout, tries=tries - 1)
        return done

    @staticmethod
    def _run(arguments: Sequence[str], given: str | None, env: Mapping[str, str], cwd: Path, timeout: float) -> Done:
        done = subprocess.run(
            [*OVERNIGHT, *arguments],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            env=env,
            cwd=cwd,
            timeout=timeout,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start in the background, with pipes."""
        return subprocess.Popen(
            [*OVERNIGHT, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=self.environment,
            cwd=cwd or self.cwd,
        )

    def on_terminal(self, *arguments: str, answer: str = "", rows: int = 40, columns: int = 120) -> Done:
        """Run with a terminal for all three streams; what it shows is ``out``."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = subprocess.Popen(
            [*OVERNIGHT, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**self.environment, "TERM": "xterm-256color"},
            cwd=self.cwd,
            start_new_session=True,
        )
        os.close(slave)
        shown = b""
        try:
            os.write(master, answer.encode())
            deadline = time.monotonic() + 60
            with suppress(OSError):  # how a terminal says that its last user left
                while time.monotonic() < deadline:
                    if select.select([master], [], [], 0.2)[0]:
                        shown += os.read(master, 65_536)
            code = process.wait(timeout=120)
        finally:
            process.kill()
            process.wait()
            os.close(master)
        return Done(code, shown.decode(errors="replace"), "")


def read_until(process: subprocess.Popen[str], sign: str) -> list[str]:
    """The lines of its output up to and including the one with ``sign``."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if sign in line:
            return lines
    raise AssertionError(f"{sign!r} never came: {lines}")


def git(place: Path, *arguments: str) -> str:
    """Run git there, as a person without any configuration."""
    done = subprocess.run(
        ["git", "-C", str(place), *arguments],
        env=clean_environment(place),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def make_project(place: Path) -> Path:
    """A repository with three commits, and changes that are not committed."""
    place.mkdir(parents=True)
    git(place, "init", "-q", "-b", "main")
    for number in range(3):
        (place / "count.txt").write_text(f"{number}\n")
        git(place, "add", ".")
        git(place, "commit", "-qm", f"count {number}")
    (place / "count.txt").write_text("not committed\n")
    (place / "staged.txt").write_text("staged\n")
    git(place, "add", "staged.txt")
    (place / "untracked.txt").write_text("untracked\n")
    return place


def fingerprint(place: Path) -> str:
    """Hash of everything below a folder: names, kinds, modes, times and contents, ``.git`` included."""
    seen = hashlib.sha256()
    for path in sorted(place.rglob("*")):
        status = path.lstat()
        seen.update(f"{path.relative_to(place)} {status.st_mode} {status.st_mtime_ns}".encode())
        if path.is_symlink():
            seen.update(os.fsencode(path.readlink()))
        elif path.is_file():
            seen.update(path.read_bytes())
    return seen.hexdigest()


def none_left(home: Path) -> None:
    """Return once no live process has this home on its command line or in its environment's ``OVERNIGHT_HOME``.

    What has just been killed needs a moment to be gone.
    """
    deadline = time.monotonic() + 30
    while left := _processes_of(home):
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.05)


def _processes_of(home: Path) -> Sequence[tuple[int, str, Sequence[str]]]:
    found: list[tuple[int, str, Sequence[str]]] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            line = process.cmdline()
            if any(str(home) in a for a in line) or process.environ().get("OVERNIGHT_HOME", "").startswith(str(home)):
                found.append((process.pid, process.status(), line))
    return found
