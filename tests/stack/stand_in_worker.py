"""Stands in for the worker: says that it is ready, and connects to nothing. Argument: how it behaves."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import psutil

home = Path(os.environ["OVERNIGHT_HOME"])


def announce(**changes: object) -> None:
    word = {
        "pid": os.getpid(),
        "create_time": psutil.Process().create_time(),
        "ready": True,
        "credential": "stand-in",
        "problem": None,
    }
    temporary = home / ".worker.json.new"
    temporary.write_text(json.dumps(word | changes))
    temporary.replace(home / "worker.json")


def main(behaviour: str) -> None:
    (home / "environment.json").write_text(json.dumps(dict(os.environ)))
    with (home / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if behaviour == "crash":
        announce(ready=False, credential=None, problem="No sandbox on this host.")
        sys.exit("the stand-in fails on purpose")
    if behaviour == "crash-later" and (home / "break").exists():
        sys.exit("the stand-in is broken now")
    if behaviour == "garbage":
        (home / "worker.json").write_text("{garbage")
    elif behaviour == "hang":
        sys.stderr.write("the stand-in hangs on purpose\n")
    else:
        if behaviour == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        announce()
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1])
