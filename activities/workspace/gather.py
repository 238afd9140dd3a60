"""Packs what a workspace holds, in a box of its own, while the agent works in it in another one.

Usage: ``python -I -S gather.py PARENT MAX_FILE_BYTES WORKSPACE OBJECTS FACTS``

Prints the id of a tree, a line end, and a pack with what of it ``PARENT`` has not. Here the agent may change whatever
is looked at, at any moment: paths lead nowhere but into this box, and what git starts here is no more than the agent.
Left out are ignored files, those above ``MAX_FILE_BYTES``, submodules, and repositories inside this one. ``FACTS`` has
files of the worker's git folder: ``index``, ``attributes``, ``shallow``, and the submodules' paths in ``links``.
"""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

CONFIG = {
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.safecrlf": "false",
    # The index was written by another user than the one that we are here.
    "core.checkStat": "minimal",
    "core.trustctime": "false",
    "gc.auto": "0",
}


def main(parent: str, most: int, workspace: str, objects: str, facts: str) -> None:
    """Print the pack. Raises ``OSError`` and what git's failures raise."""
    place = Path(os.environ.get("TMPDIR", "/tmp"), "gathered.git")  # noqa: S108 (of the box alone)
    known = Path(facts)
    subprocess.run(["git", "init", "-q", "--bare", "--template=", place], check=True, env=_environment())
    (place / "info").mkdir(exist_ok=True)
    for name, inside in (("index", "index"), ("attributes", "info/attributes"), ("shallow", "shallow")):
        if (known / name).exists():
            shutil.copy2(known / name, place / inside)
    env = _environment(GIT_DIR=str(place), GIT_WORK_TREE=workspace, GIT_ALTERNATE_OBJECT_DIRECTORIES=objects)

    def git(*args: str, given: bytes = b"", ok: tuple[int, ...] = (0,)) -> bytes:
        done = subprocess.run(["git", *args], input=given, stdout=subprocess.PIPE, check=False, env=env, cwd=workspace)
        if done.returncode not in ok:
            raise OSError(f"git {args[0]} ended with exit code {done.returncode}")
        return done.stdout

    if not (place / "index").exists():
        git("read-tree", parent)
    links = [path for path in (known / "links").read_bytes().split(b"\0") if path]
    listed = git("ls-files", "--others", "--modified", "--exclude-standard", "-z").split(b"\0")
    left_out = [*links, *(path.rstrip(b"/") for path in sorted(set(listed)) if path and _is_odd(path, workspace, most))]
    paths = b"\0".join([b":/", *(b":(top,exclude,literal)" + path for path in left_out)]) + b"\0"
    git("add", "--all", "--ignore-errors", "--pathspec-from-file=-", "--pathspec-file-nul", given=paths, ok=(0, 1))
    tree = git("write-tree").strip()
    sys.stdout.buffer.write(tree + b"\n")
    sys.stdout.buffer.flush()
    wanted = tree + b"\n^" + parent.encode() + b"\n"
    subprocess.run(["git", "pack-objects", "--revs", "--stdout", "-q"], input=wanted, check=True, env=env)


def _is_odd(path: bytes, workspace: str, most: int) -> bool:
    try:
        status = os.lstat(os.fsencode(workspace) + b"/" + path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_size > most)


def _environment(**more: str) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    env |= {"LC_ALL": "C", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0"}
    env["GIT_CONFIG_COUNT"] = str(len(CONFIG))
    for number, (key, value) in enumerate(CONFIG.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env | more


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:6])
