"""More of everything than a sandbox gives. Argument: what to have too much of."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

LONG = 255
DEEP = 40
FOLDERS, IN_EACH = 50, 20
ODD = [
    b"new\nline", b"\xff\xfe not text", b"-rf", b"--help", b" ", b"...", b"quote'\"", b"$(touch run)", b"`touch run`",
    b"a\tb", b"\x1b[31mred", b"*", b"?", b"back\\slash", "\u202etxt.exe".encode(), b"\r", b"x" * LONG,
    ("\u00e4" * (LONG // 2)).encode(),
]  # fmt: skip
"""Names that file systems take and programs stumble over."""


def memory() -> None:
    """Of one process, kept."""
    kept = [bytearray(20_000_000) for _ in range(600)]
    print(len(kept))


def forks() -> None:
    """Children, until there are no more; then all rest for a moment, so that whoever samples sees them."""
    made = 0
    while made < 5_000:
        try:
            child = os.fork()
        except OSError as error:
            print(f"no more after {made}: {error}", flush=True)
            break
        if child == 0:
            time.sleep(2)
            os._exit(0)
        made += 1
    time.sleep(1.5)
    sys.exit(1)


def time_of_processor() -> None:
    """A busy loop."""
    while True:
        pass


def handles() -> None:
    """Open files."""
    kept = [open("/dev/null") for _ in range(100_000)]
    print(len(kept))


def size() -> None:
    """One file, larger than allowed: it costs no room on the disk."""
    with open("/tmp/large", "wb") as file:
        file.truncate(7_000_000_000)


def output() -> None:
    """Without end."""
    os.execvp("yes", ["yes", "a line of output"])


def line() -> None:
    """A line of 20 MB, and a failure."""
    sys.stdout.write("x" * 20_000_000)
    sys.exit(1)


def disk(folder: str = "/tmp") -> None:
    """New files, 600 MB of them."""
    _fill(os.open(folder, os.O_RDONLY))


def disk_deep() -> None:
    """The same in a folder too deep for a path name, where a simple walk does not come."""
    os.chdir("/tmp")
    for _ in range(DEEP):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    _fill(os.open(".", os.O_RDONLY))


def disk_unnamed() -> None:
    """The same in files that have no name any more."""
    folder = os.open("/tmp", os.O_RDONLY)
    _fill(folder, keep_name=False)


def disk_of_config() -> None:
    """The same in Claude Code's own folder."""
    _fill(os.open(os.environ.get("CLAUDE_CONFIG_DIR", "/overnight/config"), os.O_RDONLY))


def _fill(folder: int, *, keep_name: bool = True) -> None:
    kept: list[int] = []
    block = os.urandom(1_000_000)
    for number in range(30):
        name = f"fill-{number}"
        handle = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=folder)
        if not keep_name:
            os.unlink(name, dir_fd=folder)
        for _ in range(20):
            os.write(handle, block)
        kept.append(handle)
        time.sleep(0.03)
    time.sleep(1.5)
    sys.exit(1)


def sparse() -> None:
    """A file of 5 GB that holds nothing."""
    with open("sparse", "wb") as file:
        file.truncate(5_000_000_000)


def names() -> None:
    """Odd names, a link to itself, and a pipe that nobody writes."""
    os.makedirs("odd", exist_ok=True)
    os.chdir("odd")
    for name in ODD:
        with open(name, "wb") as file:
            file.write(b"odd\n")
    os.symlink("loop", "loop")
    os.mkfifo("pipe")


def deep() -> None:
    """Folders deeper than a path name may be long."""
    for _ in range(DEEP):
        os.mkdir("d" * LONG)
        os.chdir("d" * LONG)
    Path("bottom").write_text("deep\n")


def crowd() -> None:
    """Thousands of small files; each folder by a process of its own, for the limit on time of the processor."""
    for folder in range(FOLDERS):
        if os.fork() == 0:
            os.makedirs(f"crowd/{folder}")
            for number in range(IN_EACH):
                with open(f"crowd/{folder}/{number}", "w") as file:
                    file.write(f"{folder} {number}\n")
            os._exit(0)
        os.wait()


BOMBS = {
    bomb.__name__: bomb
    for bomb in (
        memory, forks, time_of_processor, handles, size, output, line, disk, disk_deep, disk_unnamed, disk_of_config,
        sparse, names, deep, crowd,
    )
}  # fmt: skip

if __name__ == "__main__":
    for wanted in sys.argv[1:]:
        BOMBS[wanted]()
