"""File operations on folders that an agent wrote: no link is followed, no special file is opened.

All of them block: callers run them in a thread.
"""

import contextlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tsymlinks = true
\tignorecase = false
\tbare = {bare}
\tlogallrefupdates = false
"""

DURABLE = "\tfsync = committed,reference\n\tfsyncMethod = batch\n"
"""More for `[core]`: objects and refs are on the disk before a command ends."""

_AS_IT_IS = b"* -text !eol !crlf !working-tree-encoding !filter !ident\n"
"""Stands above every `.gitattributes`. `-` would be an encoding of its own, which git does not take."""


def absolute(path: str | Path) -> Path:
    """Return the path from the root, with `~` as the user's home; links stay as they are."""
    return Path(path).expanduser().absolute()


def is_there(path: Path) -> bool:
    """Whether the path names anything, a broken link included."""
    return os.path.lexists(path)


def remove(path: Path) -> None:
    """Remove a file, a link itself, or a folder with everything in it, even one without write permission."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(mode):
        path.unlink()
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        make_writable(path)
        _remove_tree(path)
    except (RecursionError, OSError):
        _remove_tree(path)


def _remove_tree(path: Path) -> None:
    """Remove a folder of any depth: rm walks where Python's recursion and the longest path name end."""
    subprocess.run(["rm", "-rf", "--", path], check=True, capture_output=True)


def _open_up(folder: bytes, mode: int) -> None:
    """Change the mode of the folder itself, never of what a link in its place leads to."""
    handle = os.open(folder, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chmod(f"/proc/self/fd/{handle}", mode)  # noqa: PTH101
    finally:
        os.close(handle)


def make_writable(folder: Path) -> None:
    """Give the owner full permission on every folder below and including this one; files keep theirs."""
    pending = [os.fsencode(folder)]
    while pending:
        current = pending.pop()
        with contextlib.suppress(OSError):
            mode = os.lstat(current).st_mode
            if not stat.S_ISDIR(mode):
                continue
            if mode & stat.S_IRWXU != stat.S_IRWXU:
                _open_up(current, stat.S_IMODE(mode) | stat.S_IRWXU)
            with os.scandir(current) as entries:
                pending += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def tame(folder: Path) -> None:
    """Take from a workspace what would hold up our git, or stand for our user on this host.

    Pipes, sockets and devices go: git waits for a pipe that is named as one of its own files, in a nested repository
    too. Of its files of patterns, those above 1 MB get another name: git reads them whole. Setuid, setgid and sticky
    go from every file; folders keep theirs. Links are not followed. find walks where the longest path name ends; what
    it cannot enter, it leaves. Nothing may run in the workspace any more.
    """
    special = ["(", "-type", "p", "-o", "-type", "s", "-o", "-type", "c", "-o", "-type", "b", ")", "-delete"]
    patterns = ["(", "-name", ".gitignore", "-o", "-name", ".gitattributes", "-o", "-name", ".gitmodules", ")"]
    huge = ["-type", "f", *patterns, "-size", "+2048", "-execdir", "mv", "--", "{}", "{}.too-large", ";"]
    bits = ["(", "-perm", "-4000", "-o", "-perm", "-2000", "-o", "-perm", "-1000", ")"]
    modes = ["-type", "f", *bits, "-execdir", "chmod", "u-s,g-s,-t", "--", "{}", "+"]
    # Paths of its own: with a relative one in PATH, find would refuse, and the workspace could name the program.
    path = [place for place in os.environ.get("PATH", os.defpath).split(os.pathsep) if place.startswith("/")]
    env = {"PATH": os.pathsep.join(path), "LC_ALL": "C"}
    command = ["find", str(folder), *special, "-o", *huge, "-o", *modes]
    subprocess.run(command, env=env, check=False, capture_output=True)


def copy_regular(source: Path, target: Path) -> bool:
    """Copy a regular file with its times; return False when there is none there, or something else."""
    try:
        if not stat.S_ISREG(source.stat().st_mode):
            return False
        shutil.copyfile(source, target)
        times = source.stat()
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    except OSError:
        return False
    return True


def is_real_folder(path: Path) -> bool:
    """Whether this is a folder itself, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def keep_bytes(git_dir: Path) -> None:
    """Have git store files as they are, and check them out so, whatever the attributes of a repository say.

    An agent writes those: one that no file fits would block every commit, and what is checked would not be what is
    committed.
    """
    rules = git_dir / "info" / "attributes"
    with contextlib.suppress(OSError):
        if rules.read_bytes() == _AS_IT_IS:
            return
    rules.parent.mkdir(exist_ok=True)
    fresh = rules.with_name(f"attributes.{os.getpid()}")
    fresh.write_bytes(_AS_IT_IS)
    fresh.replace(rules)


def write_git_dir(
    git_dir: Path, *, head: str, bare: bool = True, more_config: str = "", converting: bool = False
) -> None:
    """Write an empty git directory: no templates, no hooks, and a configuration of a few fixed lines.

    `head` is the content of HEAD: `ref: refs/heads/...` or a commit id. With `converting` attributes convert files
    between workspace and commit, as in the repository of a person; else bytes stay as they are.
    """
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (git_dir / name).mkdir(parents=True, exist_ok=True)
    (git_dir / "config").write_text(_CONFIG.format(bare="true" if bare else "false") + more_config)
    (git_dir / "HEAD").write_text(head + "\n")
    if not converting:
        keep_bytes(git_dir)
