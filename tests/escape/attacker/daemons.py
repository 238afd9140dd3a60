"""Processes that do not want to end. Argument: a mark that their command lines carry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

DEAF = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGPIPE)
KINDS = ("double", "deaf", "watched", "stopped", "silent")
"""What each daemon is called on its command line."""


def main(mark: str) -> None:
    """Start one of every kind, and end."""
    for kind in KINDS:
        args = [sys.executable, __file__, mark, kind]
        # In sessions of their own, with a parent that goes: nobody's children, and in nobody's group.
        subprocess.Popen(["nohup", "setsid", "--fork", *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.Popen(["bash", "-c", f"trap '' TERM HUP INT; (setsid {sys.executable} {__file__} {mark} double &) &"])


def be(mark: str, kind: str) -> None:
    """Be a daemon of this kind, for as long as possible."""
    for name in DEAF:
        signal.signal(name, signal.SIG_IGN)
    if kind == "double" and os.fork() > 0:
        os._exit(0)
    if kind in {"double", "silent"}:
        os.setsid() if os.getsid(0) != os.getpid() else None
    if kind == "silent":
        os.closerange(0, 64)
    if kind == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    if kind == "watched":
        _watch(mark)
    while True:
        time.sleep(3_600)


def _watch(mark: str) -> None:
    """Two that start each other anew."""
    args = [sys.executable, __file__, mark, "deaf"]
    while True:
        subprocess.Popen(args, start_new_session=True).wait()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        be(sys.argv[1], sys.argv[2])
    else:
        main(sys.argv[1])
